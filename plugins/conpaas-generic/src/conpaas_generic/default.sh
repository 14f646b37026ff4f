# The scripts of a new service: each notes when, where and with what it was called.
{
    date
    echo "Executing script $(basename "$0")"
    echo "Parameters ($#):${*:+ $*}"
    echo "My IP is $MY_IP"
    echo "My role is $MY_ROLE"
    echo "My master IP is $MASTER_IP"
    echo "Information about other agents is stored at $AGENTS_FILE"
    cat "$AGENTS_FILE"
} >> "$HOME/generic.out"
