#!/bin/sh
# The demo: a real question to the default model, and how fast it answered; then the model is tuned on 300 rows of a real
# task, and scored on 60 others before and after. What was tuned is kept in build/demo. Usage: tools/demo.sh RETORT MODEL
set -eu
retort=$1
model=$2
rows=$(dirname "$0")/../examples/sections
folder=build/demo/sections
question="What is gravity? Answer in two sentences."
echo
echo "> $question"
"$retort" run "$model" -p "$question" --max-tokens 96 --verbose

score() {
  "$retort" eval "$model" --data "$rows/dev.jsonl" --labels-from "$rows/train.jsonl" --instruction "" "$@" 2>/dev/null |
    grep -E '^(accuracy|macro_f1|A row)'
}
echo
if [ ! -e "$folder/adapter.gguf" ]; then
  echo "Which of 14 sections does a package belong to? As the model comes:"
  score
  echo
  echo "Tuning it on 300 rows (one to three minutes; Ctrl-C and again: it continues) ..."
  resume=
  [ -e "$folder/checkpoint.bin" ] && resume=--resume
  "$retort" tune "$model" --data "$rows/train.jsonl" --output "$folder" --epochs 1.5 --instruction "" $resume
  echo
fi
echo "Tuned ($folder/adapter.gguf, report.html beside it):"
score --adapter "$folder/adapter.gguf"
