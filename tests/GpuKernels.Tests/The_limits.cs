namespace Platform.GpuKernels.Tests;

public class The_limits
{
    [Fact] public void of_a_text_leave_room_in_32_bits_for_offsets() => Assert.InRange(TextLimits.TextBytes, 1, int.MaxValue / 4);
}
