# All tests, in lanes beside each other, since much of their time is waiting; what failed is said again at the end.
set -u
# What Node compiled, for all that start Torb or an actor.
export NODE_COMPILE_CACHE="$PWD/.lab/node"
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
# POSIX pipes tell the end of their last command only: the first's goes through a file.
lane() {
  { vitest run --project "$1" 2>&1; echo $? >"$said/$1.rc"; } | tee "$said/$1"
}
lanes=
for project in apart system unit; do
  lane $project &
  lanes="$lanes $!"
done
wait $lanes
# Passed when run again (vitest.config.ts).
grep -h '^flaky: ' "$said/apart" "$said/system" "$said/unit"
failed=0
for project in apart system unit; do
  [ "$(cat "$said/$project.rc")" = 0 ] && continue
  failed=1
  echo "== $project failed:"
  # From vitest's account of failures on; what was killed before it has none, and its last lines tell.
  grep -q 'Failed Tests\|Failed Suites\|Unhandled' "$said/$project" &&
    sed -n '/Failed Tests\|Failed Suites\|Unhandled/,$p' "$said/$project" ||
    tail -n 40 "$said/$project"
done
exit $failed
