# Sourced by scripts that print TAP and have a scratch folder in $folder.

# Runs COMMAND as one case; what it says is printed if it fails.
case_of() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$folder/said" 2>&1; then
        echo "ok - $name"
    else
        sed 's/^/# /' "$folder/said"
        echo "not ok - $name"
    fi
}
