# SCRIPT: what bash completes for each line of standard input, which is parted as readline does it: LINE => WORDS.
source "$1"
shopt -s extglob
compopt() { :; }
try() {
	local rest=$1 word
	COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
	while rest=${rest##+([[:space:]])} && [[ -n $rest ]]; do
		case $rest in [=:]*) word=${rest%%[!=:]*} ;; *) word=${rest%%[[:space:]=:]*} ;; esac
		COMP_WORDS+=("$word") rest=${rest#"$word"}
	done
	[[ $1 != *[[:space:]] ]] || COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	word=${COMP_WORDS[COMP_CWORD]}
	[[ $word != [=:]* ]] || word=''
	_chainbox "${COMP_WORDS[0]}" "$word" ''
	printf '%s => %s\n' "$1" "${COMPREPLY[*]}"
}
while IFS= read -r line; do try "$line"; done
