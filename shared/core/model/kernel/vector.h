/* Arithmetic on vectors of N floats. kernel.c includes this file once for each N it uses, 4, 8 or
 * 16; the names end in N.
 *
 * Each lane is computed as it would be alone, so the bits of an output do not depend on N.
 */
#define OF_N(f) JOIN(f, N)
#define vf OF_N(vf)
#define vi OF_N(vi)
#define all OF_N(all)
#define fma_ OF_N(fma)
#define choose_less OF_N(choose_less)
#define at_least OF_N(at_least)
#define at_most OF_N(at_most)
#define exp_ OF_N(exp)
#define sigmoid OF_N(sigmoid)
#define tanh_ OF_N(tanh)

/* aligned(4): rows start wherever the caller's array does */
typedef float vf __attribute__((vector_size(N * 4), aligned(4)));
typedef int vi __attribute__((vector_size(N * 4), aligned(4)));

/* s in every lane */
INLINE vf all(float s) {
  vf r;
  for (int i = 0; i < N; i++) r[i] = s;
  return r;
}
/* a * b + c, rounded once */
INLINE vf fma_(vf a, vf b, vf c) {
#if defined(__clang__)
  return __builtin_elementwise_fma(a, b, c);
#else
  vf r;
#pragma GCC unroll 16
  for (int i = 0; i < N; i++) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}
/* choose_less: a < b ? yes : no. at_least and at_most leave NaN as it is. */
#if defined(__AVX512F__)
#if N == 16
#define X86(f) JOIN(_mm512, f)
INLINE vf choose_less(vf a, vf b, vf yes, vf no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OS), no, yes);
}
#else
#define X86(f) JOIN(_mm256, f)
INLINE vf choose_less(vf a, vf b, vf yes, vf no) {
  return _mm256_mask_blend_ps(_mm256_cmp_ps_mask(a, b, _CMP_LT_OS), no, yes);
}
#endif
#elif defined(__AVX2__)
#define X86(f) JOIN(_mm256, f)
INLINE vf choose_less(vf a, vf b, vf yes, vf no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OS));
}
#else
INLINE vf choose_less(vf a, vf b, vf yes, vf no) {
  const vi where = a < b;
  return (vf)((where & (vi)yes) | (~where & (vi)no));
}
#endif
#if defined(X86)
INLINE vf at_least(float low, vf x) { return X86(max_ps)(all(low), x); }
INLINE vf at_most(float high, vf x) { return X86(min_ps)(all(high), x); }
#undef X86
#else
INLINE vf at_least(float low, vf x) { return choose_less(x, all(low), all(low), x); }
INLINE vf at_most(float high, vf x) { return choose_less(all(high), x, all(high), x); }
#endif

/* e**x within about 1 ulp, for x from -87; above 88 it is e**88 (Cephes expf, Moshier).
 *
 *   1. x = n ln 2 + r, n whole; ln 2 is subtracted in two parts, so that r keeps its digits
 *   2. e**r by a polynomial
 *   3. times 2**n, which is n added to the exponent's bits
 */
INLINE vf exp_(vf x) {
  /* 1.5 * 2**23: adding it rounds to a whole number, which ends up in the lowest bits. */
  const float magic = 12582912.f;
  x = at_most(88.f, x);
  const vf shifted = x * 1.44269504f + magic, n = shifted - magic;
  vf r = fma_(n, all(-0.693359375f), x);
  r = fma_(n, all(2.12194440e-4f), r);
  vf p = fma_(r, all(1.9875691500e-4f), all(1.3981999507e-3f));
  p = fma_(p, r, all(8.3334519073e-3f));
  p = fma_(p, r, all(4.1665795894e-2f));
  p = fma_(p, r, all(1.6666665459e-1f));
  p = fma_(p, r, all(5.0000001201e-1f));
  p = fma_(p * r, r, r) + 1.f;
  return p * (vf)(((vi)shifted << 23) + (127 << 23));
}
/* 1 / (1 + e**-x) */
INLINE vf sigmoid(vf x) { return 1.f / (1.f + exp_(at_least(-87.f, -x))); }

/* tanh (Cephes tanhf): near 0 an odd polynomial, because 1 - 2 / (e**2x + 1) loses digits there. */
INLINE vf tanh_(vf x) {
  vf size = (vf)((vi)x & 0x7fffffff), z = x * x;
  vf far = 1.f - 2.f / (exp_(size + size) + 1.f);
  far = (vf)((vi)far | ((vi)x & (int)0x80000000));
  vf p = fma_(z, all(-5.70498872745e-3f), all(2.06390887954e-2f));
  p = fma_(p, z, all(-5.37397155531e-2f));
  p = fma_(p, z, all(1.33314422036e-1f));
  p = fma_(p, z, all(-3.33332819422e-1f));
  return choose_less(size, all(0.625f), fma_(p * z, x, x), far);
}

/* A block of a product, rows x vectors of outputs, kept in registers:
 * out[r][j] = start[r][j] + sum over i ascending of x[r * x_row + i * x_next] * m[i][j]. */
INLINE void OF_N(product_block)(int rows, int vectors, float *out, long out_row, const float *start,
                                long start_row, const float *x, long x_row, long x_next, int n,
                                const float *m, long m_row) {
  vf acc[BLOCK_MAX];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
    for (int k = 0; k < vectors; k++)
      acc[r * vectors + k] = start ? *(const vf *)(start + r * start_row + k * N) : all(0.f);
  for (int i = 0; i < n; i++) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const vf s = all(x[r * x_row]);
#pragma GCC unroll 16
      for (int k = 0; k < vectors; k++)
        acc[r * vectors + k] = fma_(s, *(const vf *)(m + k * N), acc[r * vectors + k]);
    }
    x += x_next;
    m += m_row;
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
    for (int k = 0; k < vectors; k++) *(vf *)(out + r * out_row + k * N) = acc[r * vectors + k];
}

/* A block of out[r] = d[r] m, m [n][..]. Four partial sums, by row of m modulo 4, hide the latency
 * of the additions; they are added in pairs at the end. */
INLINE void OF_N(back_block)(int rows, int vectors, float *out, long out_row, const float *d,
                             long d_row, int n, const float *m, long m_row) {
  vf acc[4][BLOCK_MAX];
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++)
#pragma GCC unroll 16
    for (int k = 0; k < rows * vectors; k++) acc[q][k] = all(0.f);
  for (int i = 0; i < n; i += 4) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++)
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        const vf s = all(d[r * d_row + i + q]);
#pragma GCC unroll 8
        for (int k = 0; k < vectors; k++)
          acc[q][r * vectors + k] =
              fma_(s, *(const vf *)(m + q * m_row + k * N), acc[q][r * vectors + k]);
      }
    m += 4 * m_row;
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int k = 0; k < vectors; k++) {
      const int o = r * vectors + k;
      *(vf *)(out + r * out_row + k * N) = (acc[0][o] + acc[1][o]) + (acc[2][o] + acc[3][o]);
    }
}

/* One time step of `groups` x N units of a layer of width H.
 *
 *   a   in: x W + b of the four gates; out: the activations i f g o
 *   h0  in: outputs of all units at the step before
 *   U, c0, c1, tanh_c, h1   from the first of these units on: recurrent kernel, cell state before
 *                           and after, its tanh, outputs
 */
INLINE void OF_N(cell)(int groups, int H, float *a, const float *h0, const float *U,
                       const float *c0, float *c1, float *tanh_c, float *h1) {
  vf z[4][GROUPS_MAX];
#pragma GCC unroll 4
  for (int g = 0; g < 4; g++)
#pragma GCC unroll 4
    for (int k = 0; k < groups; k++) z[g][k] = *(const vf *)(a + g * H + k * N);
  for (int i = 0; i < H; i++) {
    const vf s = all(h0[i]);
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++)
#pragma GCC unroll 4
      for (int k = 0; k < groups; k++) z[g][k] = fma_(s, *(const vf *)(U + g * H + k * N), z[g][k]);
    U += 4 * H;
  }
#pragma GCC unroll 4
  for (int g = 0; g < 4; g++)
#pragma GCC unroll 4
    for (int k = 0; k < groups; k++) *(vf *)(a + g * H + k * N) = z[g][k];
  for (int k = 0; k < groups; k++) {
    const vf i = sigmoid(*(vf *)(a + k * N)), f = sigmoid(*(vf *)(a + H + k * N)),
             g = tanh_(*(vf *)(a + 2 * H + k * N)), o = sigmoid(*(vf *)(a + 3 * H + k * N));
    const vf c = f * *(const vf *)(c0 + k * N) + i * g, tc = tanh_(c);
    *(vf *)(a + k * N) = i, *(vf *)(a + H + k * N) = f, *(vf *)(a + 2 * H + k * N) = g,
                    *(vf *)(a + 3 * H + k * N) = o;
    *(vf *)(c1 + k * N) = c;
    *(vf *)(tanh_c + k * N) = tc;
    *(vf *)(h1 + k * N) = o * tc;
  }
}

/* One time step of N units, backwards: the derivatives of the formulas in `cell`.
 *
 *   dh + dx  in: d(output)/d(h) by way of the next step, and of the layer above
 *   dc       in: d(output)/d(c) of this step; out: of the step before
 *   d        out: d(output)/d(what the gates' activations are applied to)
 */
INLINE void OF_N(cell_back)(int H, const float *a, const float *c0, const float *tanh_c,
                            const float *dh, const float *dx, float *dc, float *d) {
  const vf i = *(const vf *)a, f = *(const vf *)(a + H), g = *(const vf *)(a + 2 * H),
           o = *(const vf *)(a + 3 * H);
  const vf tc = *(const vf *)tanh_c, dhj = *(const vf *)dh + *(const vf *)dx;
  const vf dcj = *(const vf *)dc + dhj * o * (1.f - tc * tc);
  *(vf *)d = dcj * g * i * (1.f - i);
  *(vf *)(d + H) = dcj * *(const vf *)c0 * f * (1.f - f);
  *(vf *)(d + 2 * H) = dcj * i * (1.f - g * g);
  *(vf *)(d + 3 * H) = dhj * tc * o * (1.f - o);
  *(vf *)dc = dcj * f;
}

#undef OF_N
#undef vf
#undef vi
#undef all
#undef fma_
#undef choose_less
#undef at_least
#undef at_most
#undef exp_
#undef sigmoid
#undef tanh_
#undef N
