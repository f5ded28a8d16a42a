# All tests, in lanes beside each other, since much of their time is waiting.
set -u
# What Node compiled, for all that start Torb or an actor.
export NODE_COMPILE_CACHE="$PWD/.lab/node"
lanes=
for project in apart system unit; do
  vitest run --project $project &
  lanes="$lanes $!"
done
failed=0
for lane in $lanes; do wait "$lane" || failed=1; done
exit $failed
