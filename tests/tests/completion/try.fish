# SCRIPT: what fish completes for each line of standard input: LINE => WORDS.
source $argv[1]
while read -l line
    set -l found (complete -C "$line" | string replace -r '\t.*' '')
    echo "$line => $found"
end
