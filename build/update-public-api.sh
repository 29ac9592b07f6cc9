#!/usr/bin/env bash
# Rewrites src/*/PublicAPI.Unshipped.txt from the code: what is public and not in PublicAPI.Shipped.txt, and '*REMOVED*' for what left it.
# The difference is for a person to read: with ApprovePublicApi on, the build fails until these files say what the code says.
set -euo pipefail
export LC_ALL=C DOTNET_NOLOGO=1
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

for file in src/*/PublicAPI.Unshipped.txt; do
    printf '#nullable enable\n' >"$file"
done
# The analyzer's findings hold the lines to write, so they must not stop the build that finds them.
dotnet build src/Slipstream.Distillation -c Release --no-incremental -v quiet \
    -p:ApprovePublicApi=true -p:TreatWarningsAsErrors=false -p:PublicApiLogs="$logs" >"$logs/build.log" 2>&1 ||
    { grep -E ' error |rror\(s\)' "$logs/build.log" | sort -u; exit 1; }

# symbols RULE LOG: the symbols that findings of one rule name, as the file spells them.
symbols() {
    awk -v rule="\"$1\"" '
        /"ruleId":/ { within = index($0, rule) > 0 }
        within && /"text": "Symbol / {
            sub(/.*"text": "Symbol \047/, ""); sub(/\047 is (not )?part of the declared .*/, "")
            gsub(/\\"/, "\""); gsub(/\\\\/, "\\"); print
        }' "$2" | sort -u
}

for file in src/*/PublicAPI.Unshipped.txt; do
    log="$logs/$(basename "$(dirname "$file")").sarif"
    symbols RS0016 "$log" >>"$file"
    symbols RS0017 "$log" | sed 's/^/*REMOVED*/' >>"$file"
    echo "$file: $(($(wc -l <"$file") - 1)) lines"
done
