# Speaks the DevTools protocol with headless Chromium over its pipe, in bash alone. Sourced by run_html.sh, which sets $tmp
# and $browser. A message is JSON that ends in a zero byte; what the browser says is appended to $tmp/wire.

browser_start() {
    trap '' PIPE # a browser that has ended is seen by `call`
    mkfifo "$tmp/to" "$tmp/from" && : >"$tmp/wire"
    HOME=$tmp "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --disable-background-networking --disable-component-update --disable-extensions --hide-scrollbars \
        --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir="$tmp/profile" --remote-debugging-pipe about:blank \
        3<"$tmp/to" 4>"$tmp/from" >"$tmp/log" 2>&1 </dev/null &
    browser_pid=$!
    exec 8>"$tmp/to"
    cat "$tmp/from" >>"$tmp/wire" &
    echo 0 >"$tmp/message"
    session=
    call Target.createTarget '{"url":"about:blank"}' || return
    call Target.attachToTarget "{\"flatten\":true,\"targetId\":\"$(answer targetId)\"}" || return
    session=$(answer sessionId)
    local domain
    for domain in Page Runtime Log Network; do call $domain.enable '{}' || return; done
}

browser_stop() {
    [ -n "${browser_pid-}" ] || return
    exec 8>&-
    kill "$browser_pid" 2>/dev/null
    wait "$browser_pid" 2>/dev/null
    browser_pid=
}

# Sends a message and waits up to a minute for its reply, which is left in $reply. False for an error.
call() { # METHOD PARAMS
    local i message
    message=$(($(<"$tmp/message") + 1)) # a file, as calls in subshells count, too
    echo $message >"$tmp/message"
    printf '{"id":%d,"method":"%s","params":%s%s}\0' $message "$1" "$2" "${session:+,\"sessionId\":\"$session\"}" >&8
    for ((i = 0; i < 1200; i++)); do
        reply=$(grep -zaE "^\{\"id\":$message," "$tmp/wire" | tr -d '\0')
        [ -n "$reply" ] && break
        kill -0 "$browser_pid" 2>/dev/null || break
        sleep 0.05
    done
    [ -n "$reply" ] && [[ $reply != *'"error":{'* ]]
}
answer() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$reply"; } # a member that is plain text

# Opens a page in a window of W x H px and waits until it has loaded. Forgets what was said before.
visit() { # FILE W H [light|dark]
    local i
    call Emulation.setDeviceMetricsOverride "{\"width\":$2,\"height\":$3,\"deviceScaleFactor\":1,\"mobile\":false}"
    call Emulation.setEmulatedMedia "{\"features\":[{\"name\":\"prefers-color-scheme\",\"value\":\"${4:-light}\"}]}"
    : >"$tmp/wire"
    call Page.navigate "{\"url\":\"file://$1\"}"
    for ((i = 0; i < 1200; i++)); do
        grep -zaq '"method":"Page.loadEventFired"' "$tmp/wire" && return
        sleep 0.05
    done
    return 1
}

# The text that an expression of JavaScript comes to, a promise waited for.
evaluate() { # EXPRESSION
    local text
    text=$(sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/ /g' <<<"$1" | tr '\n' ' ')
    call Runtime.evaluate "{\"expression\":\"$text\",\"awaitPromise\":true,\"returnByValue\":true}" || return
    sed 's/.*"type":"string","value":"//; s/"}}.*//; s/\\n/\n/g; s/\\"/"/g; s/\\\\/\\/g' <<<"$reply"
}

# What the page of the last visit said on the console, threw, or was refused; and what it asked of the network.
complaints() { grep -zaE '"method":"(Runtime\.consoleAPICalled|Runtime\.exceptionThrown|Log\.entryAdded)"' "$tmp/wire" | tr '\0' '\n'; }
requests() {
    grep -zaE '"method":"Network\.requestWillBeSent"' "$tmp/wire" | tr '\0' '\n' | grep -o '"request":{"[^}]*"url":"[^"]*"' |
        sed 's/.*"url":"//; s/"$//' | grep -v '^data:' | grep -vxF "file://$1"
}
