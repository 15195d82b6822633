#!/bin/sh
# Builds aiproxy with cargo and installs it for the current user, where cargo installs: $CARGO_INSTALL_ROOT, else $CARGO_HOME,
# else ~/.cargo. See --help. Needs no root, can be run again, and --uninstall takes everything back.
set -eu

usage() {
    cat <<'TEXT'
usage: ./install.sh [--uninstall | --help]

Builds aiproxy in this checkout (cargo install --path . --locked) and installs it for the current user, with completions for
bash, zsh and fish where these keep them. Run it again to update.

  --uninstall   remove the binary and the completions; profiles and history stay
  --help        this text

environment:
  CARGO_INSTALL_ROOT, CARGO_HOME   the binary goes to the folder bin in the first that is set, else to ~/.cargo/bin
  CARGO_TARGET_DIR                 where to build; the default is target/ here, so that an earlier build is used
TEXT
}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# ~ for the home folder, in what people read.
short() {
    case $1 in
    "$HOME"/*) say "~${1#"$HOME"}" ;;
    *) say "$1" ;;
    esac
}

# Where a shell looks for a user's completions, if the user has the folder above it.
completion_file() {
    case $1 in
    bash) file=${BASH_COMPLETION_USER_DIR:-$data/bash-completion}/completions/aiproxy above=${BASH_COMPLETION_USER_DIR:-$data/bash-completion} ;;
    zsh) file=$data/zsh/site-functions/_aiproxy above=$data/zsh ;;
    fish) file=$config/fish/completions/aiproxy.fish above=$config/fish ;;
    esac
}

install_completions() {
    for shell in bash zsh fish; do
        completion_file "$shell"
        [ -d "$above" ] || continue
        # Into a variable first: a version without this command must not leave an empty file.
        text=$("$binary" completions "$shell" 2>/dev/null) || continue
        [ -n "$text" ] || continue
        mkdir -p "${file%/*}"
        printf '%s\n' "$text" >"$file"
        case $shell in
        zsh) note=" (its folder must be in fpath)" ;;
        *) note="" ;;
        esac
        say "completions   $(short "$file")$note"
    done
}

# The binary's folder must be on PATH, and no other aiproxy before it.
check_path() {
    case :$PATH: in
    *:"$root/bin":*)
        found=$(command -v aiproxy || say "")
        [ "$found" = "$binary" ] || printf 'warning: %s comes first on PATH; remove it, or call %s\n' "$found" "$binary" >&2
        ;;
    *)
        printf 'warning: %s is not on PATH. This line fixes it, here and at the end of your shell'\''s start file:\n' "$root/bin" >&2
        case ${SHELL:-} in
        */fish) printf '  fish_add_path "%s"\n' "$root/bin" >&2 ;;
        *) printf '  export PATH="%s:%sPATH"\n' "$root/bin" '$' >&2 ;;
        esac
        ;;
    esac
}

install() {
    command -v cargo >/dev/null || fail "cargo is not installed or not on PATH" "install Rust first: https://rustup.rs"
    command -v cc >/dev/null || fail "no C compiler (cc), which some of the libraries need" \
        "Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install"

    say "building aiproxy, which takes some minutes the first time"
    # --force: an aiproxy that cargo has no record of is replaced too. The PATH warning is ours, below, so cargo need not give it.
    (cd "$here" && PATH="$PATH:$root/bin" cargo install --path . --locked --force --root "$root")

    version=$("$binary" --version) || fail "$binary does not run"
    size=$(wc -c <"$binary")
    say ""
    say "installed     $(short "$binary")"
    say "version       $version, $((size / 1048576)).$((size % 1048576 * 10 / 1048576)) MiB"
    install_completions
    say "next          aiproxy serve"
    check_path
}

uninstall() {
    removed=
    if [ -e "$binary" ]; then
        # cargo also forgets that it installed it; without its record the file goes all the same.
        if ! cargo uninstall --quiet --root "$root" aiproxy 2>/dev/null; then
            rm -f "$binary"
        fi
        say "removed       $(short "$binary")"
        removed=yes
    fi
    for shell in bash zsh fish; do
        completion_file "$shell"
        [ -e "$file" ] || continue
        rm -f "$file"
        say "removed       $(short "$file")"
        removed=yes
    done
    [ -n "$removed" ] || say "aiproxy is not installed in $(short "$root/bin")"
    for folder in "$config/aiproxy" "$state" "$HOME/Library/Application Support/aiproxy"; do
        [ ! -d "$folder" ] || say "kept          $(short "$folder") (your profiles and history; remove it by hand if you like)"
    done
}

[ $# -le 1 ] || { usage >&2; exit 2; }
case ${1:-} in
-h | --help) usage; exit 0 ;;
--uninstall | "") ;;
*) usage >&2; exit 2 ;;
esac

[ -n "${HOME:-}" ] || fail "HOME is not set"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}
case $root in
/*) ;;
*) root=$PWD/$root ;;
esac
binary=$root/bin/aiproxy
config=${XDG_CONFIG_HOME:-$HOME/.config}
data=${XDG_DATA_HOME:-$HOME/.local/share}
state=${AIPROXY_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/aiproxy}

if [ "${1:-}" = --uninstall ]; then uninstall; else install; fi
