# Completion of ./inv for zsh; printed by ./inv completion zsh
_bkbisect() {
    local inv=@INV@ program=${${(Q)words[1]}/#\~/$HOME} line word
    local -a whole texts open opens
    [[ $program == */* ]] || program=$(whence -p -- $program)
    # Another program of that name, such as Invoke's own, is not ours to start.
    [[ $program -ef $inv ]] || return 1
    for line in "${(@f)$("$inv" --complete words "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            '') ;;
            '<files>') compset -P '--*='; _files ;;
            '<folders>') compset -P '--*='; _files -/ ;;
            *=) open+=("$word"); opens+=("${line/$'\t'/  -- }") ;;
            *) whole+=("$word"); texts+=("${line/$'\t'/  -- }") ;;
        esac
    done
    compadd -Q -l -d texts -a whole
    compadd -Q -S '' -l -d opens -a open
    (( ${#whole} + ${#open} ))
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _bkbisect inv
