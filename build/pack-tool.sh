#!/usr/bin/env bash
# Packs the tool for each system, compiled ahead of time where that is portable (ReadyToRun, ADR 11): it starts in half of the time.
# build/pack-tool.sh FOLDER [RID...]   without RIDs: Linux and macOS on x64 and arm64, Windows on x64; beside them comes a package for all other systems
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,3s/^# //p' "$0"; exit 2; }
out=$(realpath -m "$1")
shift
[ $# -ge 1 ] || set -- linux-x64 linux-arm64 win-x64 osx-x64 osx-arm64
cd "$(dirname "$0")/.."
# From the environment, where its semicolons need no escape.
ToolSystems=$(IFS=';' && echo "$*;any") dotnet pack src/Slipstream.Cli -c Release -o "$out"
