# Completion of ./inv for fish; printed by ./inv completion fish
function __bkbisect
    set -l inv @INV@
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (command -s -- (string replace -r '^~' $HOME -- $words[1]))
    # Another program of that name, such as Invoke's own, is not ours to start.
    test "$(realpath -- $program 2>/dev/null)" = "$(realpath -- $inv)"; or return
    for line in ($inv --complete words $words[2..] "$current" 2>/dev/null)
        switch $line
            case '<files>*' '<folders>*'
                set -l flag (string match -r -- '^--[a-z-]+=' "$current"; or echo '')
                for path in (__fish_complete_path (string replace -- "$flag" '' "$current"))
                    echo $flag$path
                end
            case '*'
                echo $line
        end
    end
end
complete -c inv -f -a '(__bkbisect)'
