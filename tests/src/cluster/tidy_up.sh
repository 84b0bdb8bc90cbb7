# Waits for the test process to be gone, then stops the server in folder $1, whose programs are in
# folder $2, and removes all traces. Whatever state it finds: running, half started, killed, stopped.
folder=$1 programs=$2

while read -r _; do :; done

# Server processes work in the data folder, what starts them in the cluster's. A person's shell in
# there has another program.
ours() {
    for process in /proc/[0-9]*; do
        for program in postgres pg_ctl initdb; do
            [ "$process/exe" -ef "$programs/$program" ] || continue
            if [ "$process/cwd" -ef "$folder" ] || [ "$process/cwd" -ef "$folder/data" ]; then
                echo "${process#/proc/}"
            fi
        done
    done
}

# An immediate stop: unlike SIGKILL it leaves no shared memory behind.
postmaster=$(head -n 1 "$folder/data/postmaster.pid")
case " $(ours | tr '\n' ' ')" in
*" $postmaster "*)
    kill -CONT $(ours)
    kill -QUIT "$postmaster"
    tries=0
    while [ -n "$(ours)" ] && [ $tries -lt 300 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
    ;;
esac

# Twice nothing in a row: between two looks a half-started server may have become a process.
quiet=0
while [ $quiet -lt 2 ]; do
    rest=$(ours)
    if [ -n "$rest" ]; then
        quiet=0
        kill -KILL $rest
    else
        quiet=$((quiet + 1))
    fi
    sleep 0.02
done

# After a SIGKILL the lock file is still there, and names the segment that nobody frees any more.
segment=$(sed -n '7s/^ *[0-9]* *//p' "$folder/data/postmaster.pid")
[ -z "$segment" ] || ipcrm -m "$segment"
rm -rf "$folder"
