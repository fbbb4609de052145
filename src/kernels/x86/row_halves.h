// Half floats of every row where the lanes.h that ends with this file has row_words() and low_halves() but nothing
// better.
#pragma once

namespace {

/// The half at p of every row.
RETORT_INLINE FloatVector row_halves(const uint8_t* p, int64_t stride) {
  return low_halves(row_words(p, stride));
}
/// The two halves at p of every row.
RETORT_INLINE void row_halves(const uint8_t* p, int64_t stride, FloatVector& first, FloatVector& second) {
  WordVector two = row_words(p, stride);
  first = low_halves(two);
  second = low_halves(right(two, 16));
}

}  // namespace
