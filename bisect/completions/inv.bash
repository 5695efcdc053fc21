# Completion of ./inv for bash; printed by ./inv completion bash
_bkbisect() {
    local inv=@INV@ program line word
    COMPREPLY=()
    program=$(type -P -- "${1/#\~/$HOME}")
    # Another program of that name, such as Invoke's own, is not ours to start.
    [[ $program -ef $inv ]] || return 0
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        case $word in
            '<files>' | '<folders>')
                compopt -o filenames 2>/dev/null
                [[ $word == '<files>' ]] && word=-f || word=-d
                while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$word" -- "$2")
                ;;
            *)
                [[ $word == *= ]] && compopt -o nospace 2>/dev/null
                COMPREPLY+=("$word")
                ;;
        esac
    done < <("$inv" --complete line "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _bkbisect inv
