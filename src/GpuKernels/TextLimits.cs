namespace Platform.GpuKernels;

/// <summary>How much text one call takes. What is longer is refused before anything is made of it.</summary>
public static class TextLimits
{
    /// <summary>The longest text, in UTF-8 bytes: 64 MiB. Every offset inside a text then fits 32 bits with room to spare.</summary>
    public const int TextBytes = 64 * 1024 * 1024;
}
