# The commands of the demonstration, the user of each, and its expected result. Sourced by e2e/demo.

fail() { printf '\ndemo: %s\n' "$1" >&2; exit 1; }
title() { printf '\n\033[1m== %s\033[0m  (%s s)\n' "$1" $((SECONDS - began)); }
note() { printf '# %s\n' "$1"; }
in_cluster() { e2e/in-cluster "$@"; }

# attempt WHO COMMAND-LINE: runs the line inside the cluster with that person's login ("" is the administrator, who has the
# cluster's kubeconfig), and leaves what it printed in $work/out and $work/err, its exit code in $code.
attempt() {
    code=0
    in_cluster env DOCKER_CONFIG="$people/${1:-anonymous}" bash -o pipefail -c "$2" >"$work/out" 2>"$work/err" || code=$?
}

# A change reaches every replica of the services within a moment: a faster command is retried, but too few times to
# reach the limit of failed logins.
attempt_until() { # attempt_until CONDITION WHO COMMAND-LINE
    local try
    for ((try = 1; try <= ${tries:-8}; try++)); do
        attempt "$2" "$3"
        if "$1"; then return; fi
        sleep 0.5
    done
    return 1
}
was_allowed() { [ "$code" = 0 ]; }
was_refused() { [ "$code" != 0 ] && grep -qF -- "$wanted" "$work/err"; }

# allowed WHO COMMAND-LINE: typed, and has to work. Of a client that works, its result is shown and not its progress.
# `tries=1 allowed …` for what can be done only once.
allowed() {
    printf '%s$ %s\n' "$1" "$2"
    if ! attempt_until was_allowed "$1" "$2"; then
        cat "$work/out" "$work/err"
        fail "this should have worked, and ended with exit code $code"
    fi
    cat "$work/out"
}

# refused WHO COMMAND-LINE WORDS: typed, and has to be refused in words that hold WORDS, which the client has to show.
refused() {
    local wanted=$3
    printf '%s$ %s\n' "$1" "$2"
    if ! attempt_until was_refused "$1" "$2"; then
        cat "$work/out" "$work/err"
        fail "this should have been refused with \"$wanted\", and ended with exit code $code"
    fi
    tail -n 1 "$work/err"
}

# typed COMMAND-LINE: the administrator's, which has to work at once; everything that it says is shown.
typed() {
    printf '$ %s\n' "$1"
    in_cluster bash -o pipefail -c "$1" || fail "this should have worked, and ended with exit code $?"
}

# explained SUBJECT ACTION IMAGE WORDS: `kubectl berth why` says no (exit code 3) in the very words that the client has just
# shown; where the client had to shorten its sentence for the address of the page to fit, at least in WORDS.
explained() {
    local line="kubectl berth why $2 $3 --as $1" sentence
    sentence=$(sed -n 's/.*DENIED: //p' "$work/err" | tail -n 1)
    sentence=${sentence% See https://*}
    attempt "" "$line"
    printf '$ %s\n' "$line"
    cat "$work/out"
    [ "$code" = 3 ] || fail "this should have ended with exit code 3 (no), and ended with $code: $(cat "$work/err")"
    if grep -qF -- "$sentence" "$work/out"; then
        note "the client's own sentence, and exit code 3: no (0 would be yes, 1 an error)"
    elif [ "$#" = 4 ] && grep -qF -- "$4" "$work/out"; then
        note "the client's sentence at full length, and exit code 3: no"
    else
        fail "the client got another sentence: $sentence"
    fi
}
