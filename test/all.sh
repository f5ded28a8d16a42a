# All tests: those with a kernel or network of their own, which wait for much, beside all others.
set -u
vitest run --project apart &
apart=$!
vitest run --project unit --project system
others=$?
wait $apart && exit $others
