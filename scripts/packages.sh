# Sourced by the setup scripts: collect what is missing, say why, install it in one go.
#
#   want 'command -v cmake' 'cmake, builds zlib-ng' APT DNF BREW   ("-" where a system has it under no name)
#   install_wanted

wanted=''
wanted_apt=''
wanted_dnf=''
wanted_brew=''

# want TEST WHY APT DNF BREW: remembers the packages unless the command line TEST succeeds.
want() {
    if sh -c "$1" >/dev/null 2>&1; then return 0; fi
    wanted="$wanted  $2
"
    [ "$3" = - ] || wanted_apt="$wanted_apt $3"
    [ "$4" = - ] || wanted_dnf="$wanted_dnf $4"
    [ "$5" = - ] || wanted_brew="$wanted_brew $5"
}

# install_wanted: installs what was remembered; silent and instant when that is nothing.
install_wanted() {
    [ -n "$wanted" ] || return 0
    printf 'missing on this machine:\n%s' "$wanted"
    if command -v apt-get >/dev/null 2>&1; then
        need_root "apt-get install$wanted_apt"
        echo "installing with apt-get:$wanted_apt"
        hold_services
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
        # shellcheck disable=SC2086  # one word per package
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $wanted_apt >/dev/null
        release_services
    elif command -v dnf >/dev/null 2>&1; then
        need_root "dnf install$wanted_dnf"
        echo "installing with dnf:$wanted_dnf"
        # shellcheck disable=SC2086
        as_root dnf install -q -y $wanted_dnf
    elif command -v brew >/dev/null 2>&1; then
        echo "installing with brew:$wanted_brew"
        # shellcheck disable=SC2086
        brew install --quiet $wanted_brew
    else
        echo "no apt-get, dnf or brew here: install the above by hand, then run this again" >&2
        exit 1
    fi
}

need_root() {
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null 2>&1 || {
        echo "neither root nor sudo: have an administrator run '$1', then run this again" >&2
        exit 1
    }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts a service when its package is installed; a test tool must not open ports on somebody's machine.
rc_policy=/usr/sbin/policy-rc.d
rc_policy_saved=/usr/sbin/policy-rc.d.before-adit

hold_services() {
    trap release_services EXIT
    trap 'exit 130' INT TERM
    if [ -e "$rc_policy" ] && [ ! -e "$rc_policy_saved" ]; then as_root mv "$rc_policy" "$rc_policy_saved"; fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$rc_policy" >/dev/null
    as_root chmod 755 "$rc_policy"
}

release_services() {
    trap - EXIT INT TERM
    as_root rm -f "$rc_policy"
    if [ -e "$rc_policy_saved" ]; then as_root mv "$rc_policy_saved" "$rc_policy"; fi
}
