namespace Platform.GpuKernels.Tokenisation.Unicode;

/// <summary>Properties of characters (Unicode scalar values), independent of .NET's tables and of the machine's locale.</summary>
internal static class Characters
{
    /// <summary>White_Space of PropList.txt, which has not changed since Unicode 6.3.</summary>
    public static bool IsWhiteSpace(uint scalar) => scalar switch
    {
        < 0x80 => scalar is 0x20 or (>= 0x09 and <= 0x0D),
        0x85 or 0xA0 or 0x1680 or (>= 0x2000 and <= 0x200A) or 0x2028 or 0x2029 or 0x202F or 0x205F or 0x3000 => true,
        _ => false,
    };
}
