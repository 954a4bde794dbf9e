using Platform.GpuKernels.Devices;

namespace Platform.Hosting;

/// <summary>The devices that embedding, tokenising and search can run on here.</summary>
public static class ComputeDevices
{
    /// <summary>In one line: which device is used and why, what others there are, and what is missing.</summary>
    public static string Describe() => DeviceSurvey.Take().Sentence();

    /// <summary>In one line: which device failed, when and how, and what became of its work.</summary>
    public static string Describe(Domain.Inference.DeviceSetAside aside) => FormattableString.Invariant(
        $"{aside.Device} ({aside.DeviceName}) failed at {aside.At.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC while it ran the model '{aside.Model}' ({aside.Failure}: {aside.Reason}). The CPU went on with that model; a process that is started anew tries the device again.");
}
