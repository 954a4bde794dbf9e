// What a device must get right before it is used: scalars of 4 and 8 bytes, buffers, local memory, a barrier, a warp's exchange and an atomic.

// out[i] = factor * in[i] + in[of the group's mirror place]; totals[0] counts the work items that wrote.
__kernel GROUP_SIZE(128) void probe(__global const float *in, __global float *out, __global uint *totals, long count, float factor, int shift)
{
    __local float values[128];
    SCRATCH(scratch, 128);
    long at = (long)GROUP_X * 128 + LOCAL_ID;
    values[LOCAL_ID] = at < count ? in[at] : 0.0f;
    BARRIER();
    float mirrored = values[(127 - LOCAL_ID + shift) % 128];
    float neighbour = lane_xor(mirrored, 1, scratch);
    if (at < count)
    {
        out[at] = factor * values[LOCAL_ID] + neighbour;
        add_atomic(totals, 1u);
    }
}
