#!/usr/bin/env bash
# Generates the Python code beside every .proto. Usage: tools/protos.sh [OUTPUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-protos}
python=${PYTHON:-.venv/bin/python}
bin=$(dirname "$python")
mkdir -p "$out"
find protos -name '*.proto' | sort | xargs env PATH="$bin:$PATH" "$python" -m grpc_tools.protoc -I protos \
  --python_out="$out" --mypy_out="$out" --grpc_python_out="$out" --mypy_grpc_out="$out"
