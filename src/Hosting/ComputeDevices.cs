using Platform.GpuKernels.Devices;

namespace Platform.Hosting;

/// <summary>The devices that embedding, tokenising and search can run on here.</summary>
public static class ComputeDevices
{
    /// <summary>In one line: which device is used and why, what others there are, and what is missing.</summary>
    public static string Describe() => DeviceSurvey.Take().Sentence();
}
