#!/usr/bin/env bash
# Makes the environment where it is missing or out of date, then runs a command in it.
set -euo pipefail

commands='train sample evaluate figures report import_weights benchmark truth test'
usage='./launch.sh [train|sample|evaluate|figures|report|import_weights|benchmark|truth|test] [FLAGS]

  ./launch.sh                 trains the default experiment into runs/ddpm
  ./launch.sh FLAGS           trains: --experiment=NAME --workdir=DIR ...
  ./launch.sh sample FLAGS    draws samples: --workdir=DIR --out=FILE.png ...
  ./launch.sh evaluate FLAGS  measures a run: --workdir=DIR [--protocol=paper] ...
  ./launch.sh figures FLAGS   draws what a run is known for: --workdir=DIR ...
  ./launch.sh report FLAGS    a run, or several, as one HTML page: --workdir=DIR ...
  ./launch.sh import_weights FLAGS     a run of published weights: --diffusers=DIR --workdir=DIR
  ./launch.sh benchmark       how fast training is beside the bare step
  ./launch.sh truth [--short] estimates beside exact values, on known densities
  ./launch.sh test [--quick] [--slow] [--gpu] [FLAGS OF PYTEST]
                              lint, format and tests; --quick leaves out the
                              end-to-end tests, --slow adds those of minutes,
                              --gpu runs those of an NVIDIA GPU instead
  ./launch.sh train --help    every flag of a command

The environment is .venv beside this file, made with python3 where that is 3.11 to
3.13, else with the newest of those that runs. PYTHON=/path/to/python and VENV=DIR
choose otherwise. It is brought up to date when pyproject.toml changes.'

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=${VENV:-$repository/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
stamp=$venv/made-by-launch.sh # what the environment was made of; "unfinished" until then

say() { printf 'launch.sh: %s\n' "$1" >&2; }
fail() {
    say "$1"
    exit 2
}

# Prints an interpreter's version and, seen through any environment, its real path.
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
 (Debian, Ubuntu: apt install python3-venv), or choose with PYTHON=/path/to/python"
    [[ -z ${PYTHON-} ]] || fail "PYTHON=$PYTHON is no Python 3.11 to 3.13 that runs"
    fail "no Python 3.11 to 3.13 found: install one (https://www.python.org/downloads),\
 or choose with PYTHON=/path/to/python"
}

# Prints the extra of jax that this machine's accelerator needs: none for a CPU.
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

# Sets made, had: what the environment is; identity, wanted: what it should be.
compare() {
    made='' had=''
    [[ ! -f $stamp ]] || { read -r made && read -r had; } <"$stamp" || true
    choose_python
    identity="$python $repository"
    extra=digits,interop
    [[ $command != test ]] || extra=test
    jax=$(accelerator)
    if [[ $made == "$identity" ]]; then # what is installed is not taken away again
        [[ $had != *" test"* ]] || extra=test
        [[ -n $jax || $had != *" jax["* ]] || jax=${had##*jax[} jax=${jax%]}
    fi
    wanted="$(cksum <"$repository/pyproject.toml") $extra${jax:+ jax[$jax]}"
    [[ $made == "$identity" && $had == "$wanted" ]]
}

make_environment() {
    local previous=unfinished
    trap 'exit 130' INT # pip ends on Ctrl-C as if it had failed: then nothing is sure
    if [[ $made == "$identity" ]]; then
        say "bringing $venv up to date for ${jax:-cpu}"
        previous=$(<"$stamp")
        echo unfinished >"$stamp"
    else
        [[ -f $stamp || ! -d $venv || -z $(ls -A -- "$venv") ]] ||
            fail "$venv was not made by launch.sh: remove it, or choose with VENV=DIR"
        say "making the environment in $venv with Python ${python%% *} for ${jax:-cpu}\
 (about a minute${jax:+; its libraries take longer})"
        rm -rf -- "$venv"
        mkdir -p -- "$venv"
        echo unfinished >"$stamp"
        "${python#* }" -m venv "$venv"
    fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --editable "$repository[$extra]" ${jax:+"jax[$jax]"}; then
        printf '%s\n' "$previous" >"$stamp"
        say "pip failed, see above; the next ./launch.sh tries again"
        exit 1
    fi
    printf '%s\n' "$identity" "$wanted" >"$stamp"
}

run_tests() {
    local argument
    for argument; do # turns --slow and such into pytest's own, keeps the others
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
        fail "unknown command '$command': one of ${commands// /, }"
    ;;
esac

if ! compare; then
    if command -v flock >/dev/null; then # several launches at once: one makes it
        mkdir -p -- "$(dirname -- "$venv")"
        exec 9>"$venv.lock"
        flock 9
    fi
    compare || make_environment
    exec 9>&-
fi
[[ $command != test ]] || run_tests "$@"
# -P: a folder named experiments where the user stands must not hide ours.
exec "$venv/bin/python" -P -m "experiments.$command" "$@"
