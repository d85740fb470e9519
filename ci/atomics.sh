#!/usr/bin/env bash
source "$(dirname "$0")/preamble.sh"
checks "memory orderings, atomics and unsafe code appear only where they are looked after"

# All are explained in docs/orderings.md.
readonly with_orderings=(src/cell.rs src/seqlock.rs)
readonly with_atomics=(src/primitive.rs)
# The switch of the loom tests, which is not there in other builds.
readonly apart=src/planted.rs
readonly long_file=650

# code_lines FILE: its lines as `number:text`, comments left out.
code_lines() { grep -nv '^[[:space:]]*//' "$1" | sed 's,//.*,,'; }

# only_in REGEX NAME FILE...: fails if the regex is found in the code of another file.
only_in() {
    local regex=$1 name=$2 file found=""
    shift 2
    while IFS= read -r file; do
        [[ " $* $apart " == *" $file "* ]] && continue
        found+=$(code_lines "$file" | grep -E "$regex" | sed "s,^,$file:,")$'\n' || true
    done < <(find src -name '*.rs' | sort)
    [[ -z ${found//$'\n'/} ]] || fails "$name where there must be none: $found"
}

for file in "${with_orderings[@]}"; do
    [[ -f $file ]] || fails "$file is gone: take it off the list in ci/atomics.sh"
    grep -qs "$(basename "$file")" docs/orderings.md ||
        fails "docs/orderings.md does not mention $file"
done
only_in '\b(Relaxed|Acquire|Release|AcqRel|SeqCst)\b|atomic::Ordering|Ordering::\*' \
    "a memory ordering" "${with_orderings[@]}"
only_in '\b(core|std)::sync::atomic|\bportable_atomic\b|\bloom::' \
    "core's, std's or loom's atomics" "${with_atomics[@]}"
only_in '\bunsafe\b' "unsafe code"

while IFS= read -r file; do
    lines=$(sed '/^#\[cfg(test)\]/,$d' "$file" | wc -l)
    ((lines <= long_file)) || warns "$file has $lines lines before its tests: one sitting is $long_file"
done < <(find src -name '*.rs' | sort)

passes "orderings in ${#with_orderings[@]} files, atomics named in ${#with_atomics[@]}, no unsafe code"
