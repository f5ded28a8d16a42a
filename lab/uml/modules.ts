/**
 * The files to insert for some modules, each after those that it depends on.
 *
 * @param dependencies text of modules.dep: `path/name.ko: path/dependency.ko ...`, all dependencies, nearest first
 * @throws Error on a module that this kernel does not have
 */
export function insertionOrder(dependencies: string, wanted: readonly string[]): string[] {
  const byName = new Map<string, readonly string[]>()
  for (const line of dependencies.split('\n')) {
    const [file, rest = ''] = line.split(':', 2)
    if (file === undefined || file === '') continue
    byName.set(moduleName(file), [
      ...rest
        .split(' ')
        .filter((path) => path !== '')
        .reverse(),
      file,
    ])
  }
  const order = new Set<string>()
  for (const name of wanted) {
    const files = byName.get(name.replaceAll('-', '_'))
    if (files === undefined) throw new Error(`User-Mode Linux has no module ${name}; it may be built in`)
    for (const file of files) order.add(file)
  }
  return [...order]
}

/** As the kernel calls it: a file's `-` is `_`. */
const moduleName = (file: string): string => (/([^/]+)\.ko/.exec(file)?.[1] ?? file).replaceAll('-', '_')
