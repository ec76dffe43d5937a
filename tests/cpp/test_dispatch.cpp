// Tests of the choice of instruction set: the baseline is always there, the widest is the default, EDGEFUSE_ISA
// decides.
#include <string>

#include "check.hpp"

int main() {
  const auto tables = edgefuse::available();
  check::that(std::string(tables.front()->isa) == "baseline", "the baseline comes first");
  unsetenv("EDGEFUSE_ISA");
  check::that(edgefuse::first_choice() == tables.back(), "the widest is the default");
  for (const auto* table : tables) {
    setenv("EDGEFUSE_ISA", table->isa, 1);
    check::that(edgefuse::first_choice() == table, "EDGEFUSE_ISA=%s is obeyed", table->isa);
  }
  setenv("EDGEFUSE_ISA", "mmx", 1);
  try {
    edgefuse::first_choice();
    check::that(false, "an unknown EDGEFUSE_ISA is refused");
  } catch (const std::invalid_argument& refusal) {
    check::that(std::string(refusal.what()).find("baseline") != std::string::npos, "the refusal lists what there is");
  }
  return check::finish("dispatch", 4);
}
