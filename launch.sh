#!/usr/bin/env bash
# Makes the environment if it is missing or out of date, then runs a command in it.
set -euo pipefail

commands='train sample evaluate figures report look import_weights benchmark truth test'
usage='./launch.sh [train|sample|evaluate|figures|report|look|import_weights|benchmark|truth|test] [FLAGS]

  ./launch.sh                 train the default experiment into runs/ddpm
  ./launch.sh FLAGS           train: --experiment=NAME --workdir=DIR ...
  ./launch.sh sample FLAGS    draw samples: --workdir=DIR --out=FILE.png ...
  ./launch.sh evaluate FLAGS  measure a run: --workdir=DIR [--preset=paper] ...
  ./launch.sh figures FLAGS   draw the figures of a run: --workdir=DIR ...
  ./launch.sh report FLAGS    write one HTML page on one or more runs: --workdir=DIR ...
  ./launch.sh look FLAGS      draw data by class, before a training: --data=folder:DIR
  ./launch.sh import_weights FLAGS
                              make a run from published weights:
                              --diffusers=DIR --workdir=DIR
  ./launch.sh benchmark       compare the speed of training with the bare step
  ./launch.sh truth [--short] compare estimates with exact values, on known densities
  ./launch.sh test [--quick] [--slow] [--gpu] [FLAGS OF PYTEST]
                              lint, check format and types, and test; --quick skips
                              the end-to-end tests, --slow adds tests that take
                              minutes, --gpu runs only those for an NVIDIA GPU
  ./launch.sh train --help    list every flag of a command

Other commands: .venv/bin/python -m experiments.NAME (compare, twin, table)

The environment is the folder .venv next to this file. It is made with python3 if that
is version 3.11 to 3.13, else with the newest of these versions on this machine.
PYTHON=/path/to/python and VENV=DIR override both. The environment is updated when
pyproject.toml changes.'

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=${VENV:-$repository/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
stamp=$venv/made-by-launch.sh # describes the finished environment; else "unfinished"

say() { printf 'launch.sh: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit 2
}

# Prints an interpreter's version and its real path, outside of any environment.
# Exit code 3: it cannot make environments (Debian ships venv without ensurepip).
identify() {
    "$1" -c '
import os, sys
major, minor, micro = sys.version_info[:3]
if not (3, 11) <= (major, minor) <= (3, 13): sys.exit(1)
try: import ensurepip, venv
except ImportError: sys.exit(3)
base = f"{sys.base_prefix}/bin/python{major}.{minor}"
print(f"{major}.{minor}.{micro}", base if os.path.exists(base) else sys.executable)
' 2>/dev/null
}

# Sets python to the version and path of the interpreter to use.
choose_python() {
    local candidate code without_venv='' candidates=(python3 python3.1{3,2,1})
    if [[ -n ${PYTHON-} ]]; then
        candidates=("$PYTHON")
    elif [[ -f $stamp ]]; then # an environment keeps its Python, whatever python3 is now
        candidates=("$venv/bin/python" "${candidates[@]}")
    fi
    for candidate in "${candidates[@]}"; do
        code=0
        python=$(identify "$candidate") || code=$?
        [[ $code != 0 || -z $python ]] || return 0
        [[ $code != 3 ]] || without_venv=$candidate
    done
    [[ -z $without_venv ]] || fail "$without_venv has no venv module: install it\
 (Debian, Ubuntu: apt install python3-venv), or set PYTHON=/path/to/python"
    [[ -z ${PYTHON-} ]] || fail "PYTHON=$PYTHON is not a working Python 3.11 to 3.13:\
 give the path of one, or leave PYTHON out"
    fail "no Python 3.11 to 3.13 found: install one (https://www.python.org/downloads),\
 or set PYTHON=/path/to/python"
}

# Prints the extra of jax that this machine's accelerator needs; nothing for a CPU.
accelerator() {
    local driver
    if driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null)
    then
        if [[ $driver =~ ^[0-9]+ && ${BASH_REMATCH[0]} -lt 580 ]]; then
            echo cuda12 # CUDA 13 needs driver 580
        else
            echo cuda13
        fi
    elif [[ -e /dev/accel0 ]] || { [[ -e /dev/vfio/0 ]] &&
        grep -qsx 0x1ae0 /sys/bus/pci/devices/*/vendor; }; then # Google's PCI number
        echo tpu
    fi
}

# Sets made and had, the environment's state, identity and wanted, the target state, and
# constraints, the file of tested versions for this Python, which may be missing.
compare() {
    made='' had=''
    [[ ! -f $stamp ]] || { read -r made && read -r had; } <"$stamp" || true
    choose_python
    identity="$python $repository"
    constraints=''
    if [[ $(uname -sm) == 'Linux x86_64' ]]; then
        constraints=${python%% *}
        constraints=$repository/.ci/constraints-${constraints%.*}.txt
    fi
    extra=digits,interop
    [[ $command != test ]] || extra=test
    jax=$(accelerator)
    if [[ $made == "$identity" ]]; then # never remove extras that are installed
        [[ $had != *" test"* ]] || extra=test
        [[ -n $jax || $had != *" jax["* ]] || jax=${had##*jax[} jax=${jax%]}
    fi
    wanted="$(cksum <"$repository/pyproject.toml") $extra${jax:+ jax[$jax]}"
    [[ $made == "$identity" && $had == "$wanted" ]]
}

# Installs by uv if this machine has it, which takes a sixth of pip's time. Where the
# versions are known with which the tests passed, it installs these.
install() {
    [[ ! -f $constraints ]] || set -- --constraint "$constraints" "$@"
    if uv --version >/dev/null 2>&1; then
        uv pip install --quiet --python "$venv/bin/python" "$@" && return
        say "uv failed, see above; trying pip"
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

make_environment() {
    local previous=unfinished
    trap 'exit 130' INT # on Ctrl-C pip's exit code is unreliable: stay "unfinished"
    if [[ $made == "$identity" ]]; then
        say "updating $venv for ${jax:-cpu}"
        previous=$(<"$stamp")
        echo unfinished >"$stamp"
    else
        [[ -f $stamp || ! -d $venv || -z $(ls -A -- "$venv") ]] ||
            fail "$venv was not made by launch.sh: remove it, or give another VENV=DIR"
        say "making the environment in $venv with Python ${python%% *} for ${jax:-cpu}\
 (about a minute${jax:+, or longer for its libraries})"
        rm -rf -- "$venv"
        mkdir -p -- "$venv"
        echo unfinished >"$stamp"
        "${python#* }" -m venv "$venv"
    fi
    if ! install --editable "$repository[$extra]" ${jax:+"jax[$jax]"}; then
        printf '%s\n' "$previous" >"$stamp"
        say "the installation failed, see above; run ./launch.sh again to retry"
        exit 1
    fi
    printf '%s\n' "$identity" "$wanted" >"$stamp"
}

run_tests() {
    local argument
    for argument; do # replace --slow, --quick and --gpu by pytest's flags
        shift
        case $argument in
        --slow) set -- "$@" -m 'not gpu' ;;
        --quick) set -- "$@" --ignore=tests/experiments ;;
        --gpu)
            export GEN_JAX_TEST_PLATFORM=cuda,cpu
            set -- "$@" -m gpu
            ;;
        *) set -- "$@" "$argument" ;;
        esac
    done
    cd -- "$repository"
    "$venv/bin/ruff" check --quiet .
    "$venv/bin/ruff" format --quiet --check .
    "$venv/bin/mypy" --no-error-summary
    exec "$venv/bin/python" -m pytest "$@"
}

[[ $# -gt 0 ]] || set -- train --experiment=ddpm --workdir=runs/ddpm
case $1 in
-h | --help)
    echo "$usage"
    exit
    ;;
-*) command=train ;;
*)
    command=$1
    shift
    [[ " $commands " == *" $command "* ]] ||
        fail "unknown command '$command': type one of ${commands// /, }"
    ;;
esac

if ! compare; then
    if command -v flock >/dev/null; then # of several launches at once, one makes it
        mkdir -p -- "$(dirname -- "$venv")"
        exec 9>"$venv.lock"
        flock 9
    fi
    compare || make_environment
    exec 9>&-
fi
[[ $command != test ]] || run_tests "$@"
# -P: a folder named experiments in the current directory must not hide ours.
exec "$venv/bin/python" -P -m "experiments.$command" "$@"
