#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "the documentation builds without a warning, and links in Markdown files lead somewhere"

export RUSTDOCFLAGS="-D warnings"
# Private items are documented for whoever reads the source; the public build comes last and stays.
cargo doc --locked --lib --no-deps --all-features --document-private-items
cargo doc --locked --lib --no-deps --all-features

# Prints `line<tab>target` for each link of a Markdown file, outside of code.
links_in() {
    awk '
        /^ *(```|~~~)/ { in_code = !in_code; next }
        in_code { next }
        {
            gsub(/`[^`]*`/, "")
            rest = $0
            while (match(rest, /\]\([^) ]+/)) {
                print NR "\t" substr(rest, RSTART + 2, RLENGTH - 2)
                rest = substr(rest, RSTART + RLENGTH)
            }
            if (match($0, /^ *\[[^]^]+\]: *[^ ]+/)) {
                target = $0
                sub(/^ *\[[^]]+\]: */, "", target)
                sub(/ .*/, "", target)
                print NR "\t" target
            }
            rest = $0
            while (match(rest, /(src|href)="[^"]+/)) {
                target = substr(rest, RSTART, RLENGTH)
                sub(/^[a-z]+="/, "", target)
                print NR "\t" target
                rest = substr(rest, RSTART + RLENGTH)
            }
        }' "$1"
}

# has_heading FILE ANCHOR: whether one of its headings gets that anchor.
has_heading() {
    awk '/^ *(```|~~~)/ { in_code = !in_code } !in_code && /^#+ / {
        sub(/^#+ +/, "")
        line = tolower($0)
        gsub(/[^a-z0-9 _-]/, "", line)
        gsub(/ /, "-", line)
        print line
    }' "$1" | grep -qxF -- "$2"
}

checked=0 broken=0
while IFS= read -r file; do
    while IFS=$'\t' read -r line link; do
        link=${link#<}
        link=${link%>}
        [[ $link =~ ^[a-z][a-z0-9+.-]*: ]] && continue
        checked=$((checked + 1))
        path=${link%%#*}
        anchor=${link#"$path"}
        path=${path:+$(dirname "$file")/$path}
        path=${path:-$file}
        if [[ ! -e $path ]]; then
            warns "$file:$line: no file at $link"
            broken=$((broken + 1))
        elif [[ -n $anchor && $path == *.md ]] && ! has_heading "$path" "${anchor#\#}"; then
            warns "$file:$line: no heading for $link"
            broken=$((broken + 1))
        fi
    done < <(links_in "$file")
done < <(find . -name '*.md' -not -path '*/target/*' -not -path './.git/*' -printf '%P\n' | sort)
((broken == 0)) || fails "$broken of $checked relative links in Markdown files are broken"

passes "no warning, and all $checked relative links in Markdown files lead somewhere"
