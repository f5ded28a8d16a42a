# All tests: those inside User-Mode Linux, which take one core and wait for the other, beside all others.
set -u
vitest run --project kernel &
kernel=$!
vitest run --project unit --project system
others=$?
wait $kernel && exit $others
