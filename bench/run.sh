#!/usr/bin/env bash
# Every benchmark, each running us and the peer in one run; `make bench` sets up what they need.
# Results are written to bench/results/. Run it on a machine that does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
lerobot=.venv-lerobot
[ -f $lerobot/.ready ] || { bash bench/lerobot_environment.sh $lerobot && touch $lerobot/.ready; }
mkdir -p bench/results
$python bench/dataset_reading.py --lerobot-python $lerobot/bin/python
$python bench/dataset_writing.py --lerobot-python $lerobot/bin/python
$python bench/lerobot_interop.py --lerobot-python $lerobot/bin/python \
  --out bench/results/lerobot_interop.json
$python bench/training_step.py --lerobot-python $lerobot/bin/python
$python bench/heads.py
$python bench/rollouts.py
$python bench/action_tokenizers.py
$python bench/report.py
$python bench/kill_recording.py
$python bench/kill_training.py
agents=.venv-agents
[ -f $agents/.ready ] || { bash bench/agent_peers_environment.sh $agents && touch $agents/.ready; }
$python bench/agent_overhead.py --peers $agents/bin/python
$python bench/agent_replay.py
