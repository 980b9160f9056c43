// Batch normalisation and SiLU of rows of channels, y = silu(scale * x + shift), and the gradient: as few passes over
// memory as there can be. Rows are taken several at a time, so that whole vectors have the coefficients of their place;
// sums are those of parts of PART rows, added in order, whatever the number of threads.

#include <algorithm>
#include <numeric>

#include "vector.h"

namespace {

constexpr int64_t PART = 2048;

struct Shape {
  int64_t rows, channels, half, threads;  // half: whether arrays are of bfloat16
};

// Coefficients of the channels, over and over, to a whole number of vectors.
std::vector<float> repeated(const float* of_channel, const Shape& shape) {
  std::vector<float> all(std::lcm(shape.channels, LANES));
  for (size_t i = 0; i < all.size(); i++) all[i] = of_channel[i % shape.channels];
  return all;
}

// z = scale * x + shift, silu(z), and its slope.
struct Activation {
  const std::vector<float> scale, shift;

  INLINE void operator()(Vector& z, Vector& silu, Vector& slope, int64_t place) const {
    Vector factor, s;
    load(factor, scale.data() + place), load(s, shift.data() + place);
    z = z * factor + s;
    s = z;
    sigmoid(s);
    silu = z * s;
    slope = s * (1.0f + z * (1.0f - s));
  }
};

// visit(place, lane, count): `place` in the array, `lane` of the coefficients, at most LANES numbers.
template <class Visit>
INLINE void each(const Shape& shape, int64_t period, int64_t begin, int64_t end, const Visit& visit) {
  const int64_t last = end * shape.channels;
  for (int64_t place = begin * shape.channels, lane = 0; place < last; place += LANES) {
    visit(place, lane, std::min(LANES, last - place));
    lane = lane + LANES == period ? 0 : lane + LANES;
  }
}

template <class Number>
INLINE void get(Vector& to, const Number* from, int64_t count) {
  if (count == LANES) {
    load(to, from);
  } else {
    Number some[LANES] = {};
    copy(some, from, count);
    load(to, some);
  }
}

template <class Number>
INLINE void put(Number* to, const Vector& from, int64_t count) {
  if (count == LANES) {
    store(to, from);
  } else {
    Number some[LANES];
    store(some, from);
    copy(to, some, count);
  }
}

template <class Number>
struct Moments {
  const Shape& shape;
  const Number* x;
};
template <class Number>
struct Forward {
  const Shape& shape;
  const Activation act;
  const Number* x;
  Number* y;
};
template <class Number>
struct Sums {
  const Shape& shape;
  const Activation act;
  const std::vector<float> mean;
  const Number *grad, *x;
};
template <class Number>
struct Backward {
  const Shape& shape;
  const Activation act;
  const std::vector<float> mean, slope, offset;
  const Number *grad, *x;
  Number* to_x;
};

// Sums of x and of the squares of x - their mean, by channel, of some rows.
template <class Number>
void run(const Moments<Number>& job, int64_t begin, int64_t end, double* sum, double* square) {
  const int64_t channels = job.shape.channels, period = std::lcm(channels, LANES);
  std::vector<float> sums(period, 0.0f), squares(period, 0.0f), mean(period);
  each(job.shape, period, begin, end, [&](int64_t place, int64_t lane, int64_t count) IN_PLACE {
    Vector x, total;
    get(x, job.x + place, count), load(total, &sums[lane]);
    total += x;
    store(&sums[lane], total);
  });
  for (int64_t i = 0; i < period; i++) sum[i % channels] += sums[i];
  for (int64_t i = 0; i < period; i++) mean[i] = sum[i % channels] / (end - begin);
  each(job.shape, period, begin, end, [&](int64_t place, int64_t lane, int64_t count) IN_PLACE {
    Vector x, centre, total;
    get(x, job.x + place, count), load(centre, &mean[lane]), load(total, &squares[lane]);
    x -= centre;
    if (count < LANES) {
      float some[LANES] = {};
      put(some, x, count);
      load(x, some);
    }
    total += x * x;
    store(&squares[lane], total);
  });
  for (int64_t i = 0; i < period; i++) square[i % channels] += squares[i];
}

template <class Number>
void run(const Forward<Number>& job, int64_t begin, int64_t end) {
  each(job.shape, job.act.scale.size(), begin, end, [&](int64_t place, int64_t lane, int64_t count) IN_PLACE {
    Vector z, silu, slope;
    get(z, job.x + place, count);
    job.act(z, silu, slope, lane);
    put(job.y + place, silu, count);
  });
}

// Sums of the gradient of z, and of its products with x - mean.
template <class Number>
void run(const Sums<Number>& job, int64_t begin, int64_t end, double* sum, double* product) {
  const int64_t channels = job.shape.channels, period = job.mean.size();
  std::vector<float> sums(period, 0.0f), products(period, 0.0f);
  each(job.shape, period, begin, end, [&](int64_t place, int64_t lane, int64_t count) IN_PLACE {
    Vector x, z, silu, slope, grad, total;
    get(x, job.x + place, count), get(grad, job.grad + place, count);
    z = x;
    job.act(z, silu, slope, lane);
    grad *= slope;  // 0 beyond the rows
    load(total, &sums[lane]);
    total += grad;
    store(&sums[lane], total);
    load(total, &job.mean[lane]);
    grad *= x - total;
    load(total, &products[lane]);
    total += grad;
    store(&products[lane], total);
  });
  for (int64_t i = 0; i < period; i++) sum[i % channels] += sums[i], product[i % channels] += products[i];
}

template <class Number>
void run(const Backward<Number>& job, int64_t begin, int64_t end) {
  each(job.shape, job.slope.size(), begin, end, [&](int64_t place, int64_t lane, int64_t count) IN_PLACE {
    Vector x, z, silu, slope, grad, of_x;
    get(x, job.x + place, count), get(grad, job.grad + place, count);
    z = x;
    job.act(z, silu, slope, lane);
    load(of_x, &job.mean[lane]);
    x -= of_x;
    load(of_x, &job.slope[lane]);
    x *= of_x;
    load(of_x, &job.offset[lane]);
    x += of_x;
    load(of_x, &job.act.scale[lane]);
    put(job.to_x + place, x + of_x * grad * slope, count);
  });
}

int64_t parts_of(const Shape& shape) { return (shape.rows + PART - 1) / PART; }

template <class Job>
void by_rows(const Job& job) {
  in_threads(parts_of(job.shape), job.shape.threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) run(job, i * PART, std::min((i + 1) * PART, job.shape.rows));
  });
}

// Two sums by channel of each part: (parts, 2, channels).
template <class Job>
std::vector<double> sums_of(const Job& job) {
  const int64_t channels = job.shape.channels;
  std::vector<double> found(parts_of(job.shape) * 2 * channels, 0.0);
  in_threads(parts_of(job.shape), job.shape.threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      run(job, i * PART, std::min((i + 1) * PART, job.shape.rows), &found[2 * i * channels],
          &found[(2 * i + 1) * channels]);
  });
  return found;
}

// with(Number) for the type of the arrays.
template <class With>
auto of_type(const Shape& shape, const With& with) {
  return shape.half ? with(Bfloat{}) : with(float{});
}

}  // namespace

extern "C" {

// Mean and variance of each channel.
void norm_moments(const Shape* shape, const void* x, double* mean, double* variance) {
  const int64_t channels = shape->channels;
  const std::vector<double> found = of_type(*shape, [&](auto number) {
    using Number = decltype(number);
    return sums_of(Moments<Number>{*shape, static_cast<const Number*>(x)});
  });
  for (int64_t c = 0; c < channels; c++) {
    double rows = 0, centre = 0, square = 0;  // of the parts so far: Chan, Golub & LeVeque, 1983
    for (int64_t i = 0; i < parts_of(*shape); i++) {
      const double more = std::min(PART, shape->rows - i * PART);
      const double apart = found[2 * i * channels + c] / more - centre;
      rows += more;
      centre += apart * more / rows;
      square += found[(2 * i + 1) * channels + c] + apart * apart * more * (rows - more) / rows;
    }
    mean[c] = centre, variance[c] = square / rows;
  }
}

void norm_silu(const Shape* shape, const void* x, const float* scale, const float* shift, void* y) {
  const Activation act{repeated(scale, *shape), repeated(shift, *shape)};
  of_type(*shape, [&](auto number) {
    using Number = decltype(number);
    by_rows(Forward<Number>{*shape, act, static_cast<const Number*>(x), static_cast<Number*>(y)});
  });
}

// Sums of the gradient of scale * x + shift, and of its products with x - mean.
void norm_silu_sums(const Shape* shape, const void* grad, const void* x, const float* scale, const float* shift,
                    const float* mean, double* sum, double* product) {
  const int64_t channels = shape->channels;
  const Activation act{repeated(scale, *shape), repeated(shift, *shape)};
  const std::vector<double> found = of_type(*shape, [&](auto number) {
    using Number = decltype(number);
    const auto *of_y = static_cast<const Number*>(grad), *from = static_cast<const Number*>(x);
    return sums_of(Sums<Number>{*shape, act, repeated(mean, *shape), of_y, from});
  });
  for (int64_t c = 0; c < channels; c++) {
    sum[c] = product[c] = 0;
    for (int64_t i = 0; i < parts_of(*shape); i++) {
      sum[c] += found[2 * i * channels + c];
      product[c] += found[(2 * i + 1) * channels + c];
    }
  }
}

// The gradient of x: scale * that of scale * x + shift, + slope * (x - mean) + offset.
void norm_silu_gradient(const Shape* shape, const void* grad, const void* x, const float* scale, const float* shift,
                        const float* mean, const float* slope, const float* offset, void* to_x) {
  const Activation act{repeated(scale, *shape), repeated(shift, *shape)};
  const auto centre = repeated(mean, *shape), of_x = repeated(slope, *shape), constant = repeated(offset, *shape);
  of_type(*shape, [&](auto number) {
    using Number = decltype(number);
    const auto *of_y = static_cast<const Number*>(grad), *from = static_cast<const Number*>(x);
    by_rows(Backward<Number>{*shape, act, centre, of_x, constant, of_y, from, static_cast<Number*>(to_x)});
  });
}

}  // extern "C"
