# What the scripts share: words for people, packages, terraform, disk space. Sourced by bash with "set -euo pipefail".
# Sets: root (the clone), tools (programs that we download), work (logs of this run's commands).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/build/tools
work=$root/build/log
TERRAFORM_VERSION=1.11.4
PACKAGE_MB=50 # on average, with what it depends on
# Another place with the same layout, e.g. a mirror without a way to the internet.
TERRAFORM_RELEASES=${TERRAFORM_RELEASES:-https://releases.hashicorp.com/terraform}
if [ -z "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME=${HOME:-/}
fi

# Ctrl-C ends a script even while it waits for a program that makes light of it (apt-get then says that all is well).
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() { printf '==> %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# usage FILE: the comment at the top of a script is its --help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//;/^[^#]*$/p}' "$1" | sed '/^set -/,$d'; }

# The folder of logs, which is there and ours from then on.
need_work() {
    mkdir -p "$work" 2>/dev/null || die "cannot write to $root: $(mkdir -p "$work" 2>&1 | tail -n 1)"
    [ -w "$work" ] || die "$work belongs to somebody else, e.g. from a run as root: remove $root/build, or run as its owner"
}

# quiet NAME COMMAND...: output to a log of that name; false when the command fails.
quiet() {
    local name=$1
    shift
    need_work
    "$@" >"$work/$name.log" 2>&1 </dev/null
}

# why NAME: the line of that log that says what went wrong.
why() {
    local pattern
    for pattern in '^E: ' '(^| )error: |undefined reference|multiple definition' '^FAILED|[Ff]ailed'; do
        grep -m 1 -E "$pattern" "$work/$1.log" && return
    done
    tail -n 1 "$work/$1.log"
}

# free_mb FOLDER: what is free where it is, or will be.
free_mb() {
    local dir=$1
    while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
    df -Pm "$dir" | awk 'NR == 2 { print $4 }'
}

# need_space FOLDER MEGABYTES WHAT: dies when less is free.
need_space() {
    local free
    free=$(free_mb "$1")
    [ "$free" -ge "$2" ] || die "the disk is full: $1 has $free MB free, and $3 takes $2 MB; make room, or use another disk"
}

# check_full NAME: dies when the command of that log failed for want of space, also of space for the log.
check_full() {
    local dir free least='' where
    for dir in "$root" "${TMPDIR:-/tmp}" /usr /var; do
        free=$(free_mb "$dir")
        if [ -z "$least" ] || [ "$free" -lt "$least" ]; then least=$free where=$dir; fi
    done
    if [ "$least" = 0 ] || grep -qs 'No space left on device' "$work/$1.log"; then
        die "the disk is full: $where has $least MB free; make room, and run this again"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# missing_packages STAGE...: those of packages.txt that are not installed.
missing_packages() {
    local stages=" $* " stage package
    local -A installed=()
    while read -r package stage; do
        [ "$stage" = installed ] && installed[$package]=1
    done < <(dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null)
    while read -r stage package _; do
        case $stage in '' | '#'*) continue ;; esac
        [[ $stages == *" $stage "* && -z ${installed[$package]:-} ]] && printf '%s\n' "$package"
    done <"$root/scripts/packages.txt"
    return 0
}

# apt NAME ARGUMENT...: apt-get as root, with a log of that name, once no other one runs.
apt() {
    local name=$1 status said=''
    shift
    while :; do
        # A database server of the system's own is not wanted, only its programs. One of these at a time, since each
        # removes the file.
        status=0
        # shellcheck disable=SC2016
        quiet "$name" as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive flock -n -E 75 /run/coder-build-apt.lock \
            bash -c 'trap "rm -f \"$0\"" EXIT; trap "exit 130" INT TERM HUP
                mkdir -p "${0%/*}" && echo "create_main_cluster = false" >"$0" && "$@"' \
            /etc/postgresql-common/createcluster.d/coder-build.conf \
            apt-get -o Acquire::Retries=2 -o DPkg::Lock::Timeout=600 "$@" || status=$?
        [ "$status" != 0 ] || return 0
        if [ "$status" != 75 ] && ! grep -q 'Could not get lock' "$work/$name.log"; then
            check_full "$name"
            return 1
        fi
        [ -n "$said" ] || say "waiting for another installation of packages to end"
        said=1
        sleep 1
    done
}

# What was interrupted, by us or by others, keeps apt-get from anything else.
finish_interrupted() {
    if [ -z "$(dpkg --audit 2>/dev/null)" ] && ! compgen -G '/var/lib/dpkg/updates/[0-9]*' >/dev/null; then return 0; fi
    say "finishing an installation of packages that was interrupted"
    quiet dpkg-configure as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg --force-confold --configure -a || true
    apt apt-fix --fix-broken install -y ||
        die "an installation of packages was interrupted, and cannot be finished: $(why apt-fix)"
}

# need_packages STAGE...: installs what is missing.
need_packages() {
    local missing
    command -v dpkg-query >/dev/null ||
        die "this is not Debian: install what scripts/packages.txt lists by hand, or use a Debian 12 machine"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "packages are missing, and there is no sudo: as root, run apt-get install ${missing[*]}"
        sudo -- true || die "packages are missing, and sudo does not let $(id -un) install them: as root, run apt-get install ${missing[*]}"
    fi
    need_space /usr $((${#missing[@]} * PACKAGE_MB)) "installing ${#missing[@]} packages"
    say "installing ${#missing[@]} packages: ${missing[*]}"
    apt apt-update -o APT::Update::Error-Mode=any update ||
        die "the network has no package mirror that answers, so ${missing[0]} and others cannot be installed: $(why apt-update)"
    finish_interrupted
    apt apt-install install -y --no-install-recommends "${missing[@]}" ||
        die "packages cannot be installed: $(why apt-install)"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || die "these packages were not installed: ${missing[*]}; see build/log/apt-install.log"
}

# need_terraform: puts a terraform into PATH, from its makers' releases where there is none.
need_terraform() {
    local arch name sums got want
    [ -x "$tools/terraform" ] && PATH=$tools:$PATH
    if command -v terraform >/dev/null; then return 0; fi
    case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) die "terraform is missing, and there is no known release for $(uname -m): install it by hand" ;;
    esac
    name=terraform_${TERRAFORM_VERSION}_linux_$arch.zip
    sums=$TERRAFORM_RELEASES/$TERRAFORM_VERSION/terraform_${TERRAFORM_VERSION}_SHA256SUMS
    need_space "$root" 200 "terraform"
    say "downloading terraform $TERRAFORM_VERSION"
    mkdir -p "$tools"
    local tmp
    tmp=$(mktemp -d "$tools/download.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$tmp'" EXIT
    quiet terraform curl -fsSL --retry 2 --connect-timeout 10 --max-time 600 -o "$tmp/sums" "$sums" \
        -o "$tmp/$name" "$TERRAFORM_RELEASES/$TERRAFORM_VERSION/$name" ||
        die "terraform is missing and cannot be downloaded from $TERRAFORM_RELEASES ($(why terraform)): put terraform $TERRAFORM_VERSION into PATH, or name a mirror by TERRAFORM_RELEASES"
    want=$(awk -v f="$name" '$2 == f { print $1 }' "$tmp/sums")
    got=$(sha256sum "$tmp/$name" | cut -d' ' -f1)
    if [ -z "$want" ] || [ "$want" != "$got" ]; then
        die "the terraform that was downloaded is not the one that its makers released (SHA-256 is $got, not ${want:-listed}): a proxy may have answered in their place"
    fi
    python3 -m zipfile -e "$tmp/$name" "$tmp/out" || die "the archive $name cannot be unpacked"
    install -m 755 "$tmp/out/terraform" "$tmp/terraform"
    mv -f "$tmp/terraform" "$tools/terraform"
    rm -rf "$tmp"
    trap - EXIT
    PATH=$tools:$PATH
}
