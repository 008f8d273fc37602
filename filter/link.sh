#!/bin/sh
# Links a module that exports only what its build script names with --keep-export. Without such
# names everything is exported.
#
# rustc exports the functions of all crates that the ABI's names belong to, and the SDK has one for
# each callback of the ABI. A host calls whatever is exported, so a callback without a use would
# cost every request.
keeps=' '
for arg; do
  case $arg in --keep-export=*) keeps="$keeps${arg#*=} " ;; esac
done
before=
for arg; do
  shift
  case $before:$arg in
    *:--keep-export=* | *:--export) ;;
    --export:*)
      case $keeps in ' ' | *" $arg "*) set -- "$@" --export "$arg" ;; esac
      ;;
    *) set -- "$@" "$arg" ;;
  esac
  before=$arg
done
# rustc's own directory of tools is in the path of a linker.
exec rust-lld "$@"
