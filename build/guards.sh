#!/usr/bin/env bash
# House rules that the compiler does not check. Prints each breach as FILE:LINE: reason; exit code 1 where there is one.
set -uo pipefail
cd "$(dirname "$0")/.."
breaches=0
breach() { echo "$1"; breaches=$((breaches + 1)); }

# sources NAME...: files of these names, without build outputs.
sources() {
    local names=()
    for name in "$@"; do names+=(-o -name "$name"); done
    find . \( -name bin -o -name obj -o -name .git -o -name shared \) -prune -o -type f \( "${names[@]:1}" \) -print | sed 's|^\./||' | sort
}
# report REASON: each grep hit on standard input is a breach.
report() { while IFS= read -r hit; do breach "$(cut -c1-200 <<<"$hit"): $1"; done; }

mapfile -t code < <(sources '*.cs')
mapfile -t text < <(sources '*.cs' '*.csproj' '*.props' '*.targets' '*.sh' 'run' '*.md' '*.txt' '*.json' '*.slnx' | grep -v '^build/guards.sh$')
[ ${#code[@]} -gt 0 ] || { echo "no source files were found"; exit 1; }

report "more than 600 lines" < <(wc -l "${code[@]}" | awk '$2 != "total" && $1 > 600 { print $2 ":" $1 }')

report "unfinished work does not belong in the tree" < <(grep -nwE 'TODO|FIXME' "${code[@]}" build/*.sh src/*.props src/*/*.csproj 2>/dev/null | grep -v '^build/guards.sh:')

# A comment may speak of unsafe code; a line of code may not hold it.
unsafe='^[^/"]*\bunsafe\b'
outside='^(src/Slipstream\.Numerics|tests|bench)/'
report "unsafe code belongs in src/Slipstream.Numerics" < <(grep -HnE "$unsafe" $(printf '%s\n' "${code[@]}" | grep -vE "$outside") /dev/null)
report "unsafe code belongs in src/Slipstream.Numerics" < <(grep -Hn 'AllowUnsafeBlocks>true' $(sources '*.csproj' '*.props' | grep -vE "$outside") /dev/null)
report "unsafe code without a '// SAFETY:' line" < <(grep -lE "$unsafe" "${code[@]}" | xargs -r grep -L '// SAFETY:')

loop=src/Slipstream.Engine/Scheduling/EngineLoop.cs
words=build/engine-loop-banned-words.txt
if [ -f "$loop" ] && [ -s "$words" ]; then
    report "the engine loop names a technique ($words)" < <(grep -HniFf <(grep -vE '^(#|$)' "$words") "$loop")
else
    breach "$loop or $words is missing: the guard has nothing to read"
fi

report "an absolute path of one machine" < <(grep -nE '(^|[^A-Za-z0-9_.:/-])/(home|root|Users|mnt|work|workspace)/|[A-Za-z]:\\+Users' "${text[@]}")

echo "guards: ${#code[@]} source files, $breaches breaches"
[ "$breaches" -eq 0 ]
