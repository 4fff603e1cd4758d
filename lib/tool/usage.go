package tool

// StreamUsage is what the usage texts of all commands from rows to rows say of
// the flags that the frame gives them.
const StreamUsage = `streams
  -i FILE                   read FILE instead of standard input
  -o FILE                   write FILE instead of standard output
  --save FILE               write FILE beside standard output
  --whole                   complete FILE even when the reader downstream stops
  --compress zstd           compress the files of -o and --save
general
  --quiet                   errors and warnings only
  --log json                messages as JSON lines
  --help, --version
`
