#!/bin/sh
# Links a module that exports only what its build script names:
#
#   --keep-export=NAME        exports a function by its name
#   --rename-export=NAME=NEW  exports it by another name, which has the same length
#
# Without such names everything is exported, by its name.
#
# rustc exports the functions of all crates that the ABI's names belong to, and the SDK has one for
# each callback of the ABI. A host calls whatever is exported, so a callback without a use would
# cost every request. The filter has callbacks of its own, which cannot have the names of the
# SDK's until the module is linked. rust-lld exports a function by its own name only, so the names
# are replaced in the linked module.
set -e
keeps=' '
renames=
before=
output=
for arg; do
  case $arg in
    --keep-export=*) keeps="$keeps${arg#*=} " ;;
    --rename-export=*)
      renames="$renames ${arg#*=}"
      name=${arg#*=}
      keeps="$keeps${name%=*} "
      ;;
  esac
  case $before in -o) output=$arg ;; esac
  before=$arg
done
if [ -n "$renames" ] && ! command -v perl >/dev/null; then
  echo "no perl found, which names the exports: install it (Debian: apt-get install perl)" >&2
  exit 1
fi
before=
for arg; do
  shift
  case $before:$arg in
    *:--keep-export=* | *:--rename-export=* | *:--export) ;;
    --export:*)
      case $keeps in ' ' | *" $arg "*) set -- "$@" --export "$arg" ;; esac
      ;;
    *) set -- "$@" "$arg" ;;
  esac
  before=$arg
done
# rustc's own directory of tools is in the path of a linker.
rust-lld "$@"
[ -z "$renames" ] || perl -e '
  my $path = shift;
  open(my $in, "<:raw", $path) or die "$path: $!\n";
  my $module = do { local $/; <$in> };
  for (@ARGV) {
    my ($name, $new) = split "=";
    my $length = length $name;
    $length == length $new or die "$name and $new differ in length\n";
    # In a module a name follows its length, which is below 128 and so takes one byte.
    my ($from, $to) = map { chr($length) . $_ } $name, $new;
    index($module, $to) < 0 or die "$path has $new already\n";
    $module =~ s/\Q$from\E/$to/g or die "$path does not export $name\n";
  }
  open(my $out, ">:raw", $path) or die "$path: $!\n";
  print $out $module or die "$path: $!\n";
  close $out or die "$path: $!\n";
' "$output" $renames
