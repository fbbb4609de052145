#!/bin/sh
# The demo: a real question to the default model, and how fast it answered. Usage: tools/demo.sh RETORT MODEL
set -eu
retort=$1
model=$2
question="What is gravity? Answer in two sentences."
echo
echo "> $question"
"$retort" run "$model" -p "$question" --max-tokens 96 --verbose
