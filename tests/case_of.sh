# Sourced by scripts that print TAP and have a scratch folder in $folder.

# Starts a double of the Hugging Face hub with the small model as nvidia/MambaVision-T-1K, which `mvscope pull T` then finds.
# Its process is $hub.
start_hub() { # BUILD
    local tries repository=$folder/hub/nvidia/MambaVision-T-1K
    mkdir -p "$repository"
    cp assets/nano.safetensors "$repository/model.safetensors"
    printf '{"num_classes": 10}\n' >"$repository/config.json"
    "$1/tests/double_hub" "$folder/hub" "$folder/hub.log" "$folder/port" &
    hub=$!
    for ((tries = 0; tries < 500; tries++)); do
        [ -s "$folder/port" ] && break
        sleep 0.01
    done
    unset HF_HUB_CACHE HF_HUB_OFFLINE HF_TOKEN HF_TOKEN_PATH MVSCOPE_MODEL
    export HF_HOME=$folder/no-cache no_proxy='*' HF_ENDPOINT
    HF_ENDPOINT=http://127.0.0.1:$(<"$folder/port")
}

# Does a page or a text of lines end as it should?
is_complete() { # FILE
    case $1 in
    *.png) tail -c 8 "$1" | grep -aqF IEND ;;
    *) [ "$(tail -c 1 "$1" | od -An -c)" = '  \n' ] ;;
    esac
}

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
