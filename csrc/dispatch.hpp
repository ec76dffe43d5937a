// Picks the widest instruction set that this processor has, once, or the one that EDGEFUSE_ISA names.
#pragma once

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(EDGEFUSE_X86)
#include <cpuid.h>
#endif

#include "kernels.hpp"

namespace edgefuse {

namespace baseline {
extern const Kernels kernels;
}
#if defined(EDGEFUSE_X86)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

#if defined(EDGEFUSE_X86)
// The conversions of halfs; asked of the processor itself, as older compilers do not know the name.
inline bool has_f16c() {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

// The tables that this processor can run, the narrowest first.
inline std::vector<const Kernels*> available() {
  std::vector<const Kernels*> tables{&baseline::kernels};
#if defined(EDGEFUSE_X86)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (has_avx2) tables.push_back(&avx2::kernels);
  if (has_avx512) tables.push_back(&avx512::kernels);
#endif
  return tables;
}

// The table of that name; std::invalid_argument, listing the names there are, where this processor has none.
inline const Kernels* find_isa(const std::string& name) {
  std::string known;
  for (const Kernels* table : available()) {
    if (name == table->isa) return table;
    known += std::string(known.empty() ? "" : ", ") + table->isa;
  }
  throw std::invalid_argument("EDGEFUSE_ISA: this machine runs " + known + ", not '" + name + "'");
}

inline const Kernels* first_choice() {
  const char* wanted = std::getenv("EDGEFUSE_ISA");
  return wanted && *wanted ? find_isa(wanted) : available().back();
}

inline std::atomic<const Kernels*>& active() {
  static std::atomic<const Kernels*> table{first_choice()};
  return table;
}

}  // namespace edgefuse
