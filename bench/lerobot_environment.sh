#!/usr/bin/env bash
# Makes a virtual environment with LeRobot 0.4.4 on the same PyTorch as ours, to be timed beside us.
#
#   bench/lerobot_environment.sh DIRECTORY
#
# Needs FFmpeg's shared libraries (torchcodec reads videos with them). LeRobot pins older releases
# of PyTorch, so it is installed without its dependencies; torchvision is made for CUDA builds, and
# on a CPU build its registration of fake CUDA operators has to be emptied.
set -euo pipefail
directory=${1:?usage: lerobot_environment.sh DIRECTORY}
if ! command -v ffmpeg >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq ffmpeg >/dev/null
  else
    echo "FFmpeg is missing: apt-get install ffmpeg, or dnf install ffmpeg-free" >&2
    exit 1
  fi
fi
"${PYTHON:-python3.11}" -m venv "$directory"
install=("$directory/bin/python" -m pip --disable-pip-version-check install -q)
"${install[@]}" "torch==2.13.0"
"${install[@]}" "datasets>=4,<5" "diffusers<0.36" "huggingface-hub<0.36" accelerate einops \
  opencv-python-headless "av<16" jsonlines "packaging<26" draccus==0.10.0 gymnasium "deepdiff<9" \
  imageio termcolor safetensors "numpy<2.3" "transformers<5" pyserial "setuptools<81"
"${install[@]}" --no-deps lerobot==0.4.4 torchvision==0.28.0 torchcodec==0.13.0
if "$directory/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then
  : > "$("$directory/bin/python" -c 'import sysconfig, pathlib
print(pathlib.Path(sysconfig.get_paths()["purelib"]) / "torchvision" / "_meta_registrations.py")')"
fi
"$directory/bin/python" - <<'CHECK'
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
CHECK
