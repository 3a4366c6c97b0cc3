#!/usr/bin/env bash
# Makes a virtual environment with the durable agent runtimes that agent_overhead.py times beside us.
#
#   bench/agent_peers_environment.sh DIRECTORY
set -euo pipefail
directory=${1:?usage: agent_peers_environment.sh DIRECTORY}
"${PYTHON:-python3.11}" -m venv "$directory"
"$directory/bin/python" -m pip --disable-pip-version-check install -q \
  langgraph==1.2.22 langgraph-checkpoint-sqlite==3.1.2 pydantic-ai-slim==2.68.0 dbos==3.4.0
