# SCRIPT: what zsh completes for each line of standard input, in a terminal: LINE => WORDS. SCRIPT lies in a folder of functions
# that compinit finds, or is sourced where its name does not begin with _.
zmodload zsh/zpty
export SCRIPT=$1 SAID=$1.said
cat >$1.inner <<'X'
setopt extended_glob
PS1= RPS1=
fpath=(${SCRIPT:h} $fpath)
autoload -Uz compinit && compinit -u -D
[[ ${SCRIPT:t} == _* ]] || source $SCRIPT
# What is offered goes to a file, and not to the line.
say() {
  compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-[a-zA-Z]#[OAD]\ * ]]; then builtin compadd "$@"; return; fi
    local -a found
    builtin compadd -O found "$@"
    print -lr -- $found >>$SAID
    builtin compadd "$@"
  }
  _main_complete
  unfunction compadd
  compstate[insert]= compstate[list]=
  print END >>$SAID
}
zle -C say complete-word say
bindkey '^I' say
X
zpty -b inner zsh -f -i
zpty -w inner "source $1.inner"
while IFS= read -r line; do
  : >$SAID
  zpty -n -w inner "$line"$'\t'
  until [[ $(tail -n 1 $SAID) == END ]]; do sleep 0.02; done
  zpty -n -w inner $'\x15'
  print -r -- "$line => ${(j: :)${(f)"$(grep -vx END $SAID)"}}"
done
zpty -d inner
