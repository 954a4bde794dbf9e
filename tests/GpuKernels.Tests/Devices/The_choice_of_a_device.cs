using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.OpenCl;

namespace Platform.GpuKernels.Tests.Devices;

[Collection("devices")]
public class The_choice_of_a_device
{
    private static readonly DeviceInfo Cpu = new(DeviceKind.Cpu, 0, "x64 CPU", ".NET", 1L << 34, 8);
    private static readonly DeviceInfo Card = new(DeviceKind.Cuda, 0, "NVIDIA H200", "CUDA 13.0", 1L << 37, 132, new Version(9, 0), true, "GPU-0");
    private static readonly DeviceInfo Small = Card with { Ordinal = 1, Name = "NVIDIA A10", ComputeUnits = 72, ComputeCapability = new Version(8, 6) };
    private static readonly DeviceInfo Old = Card with { Name = "Tesla T4", ComputeCapability = new Version(7, 5) };
    private static readonly DeviceInfo Pocl = new(DeviceKind.OpenCl, 0, "pthread-cpu", "PoCL", 1L << 34, 8);
    private static readonly DeviceInfo Radeon = Pocl with { Name = "gfx1100", IsGpu = true };

    [Fact]
    public void takes_the_largest_card_that_has_what_is_needed()
    {
        Assert.Equal(Card, DeviceSurvey.Choose([Card, Small, Pocl, Cpu], null).Chosen);
        Assert.Equal(Small, DeviceSurvey.Choose([Old, Small, Cpu], null).Chosen);
    }

    [Fact]
    public void says_why_a_card_is_not_taken()
    {
        var (old, tooOld) = DeviceSurvey.Choose([Old, Cpu], null);
        Assert.Equal(Cpu, old);
        Assert.Contains("Tesla T4 has compute capability 7.5; 8.0", tooOld, StringComparison.Ordinal);
        var (other, byOpenCl) = DeviceSurvey.Choose([Radeon, Cpu], null);
        Assert.Equal(Cpu, other);
        Assert.Contains("PLATFORM_DEVICE=opencl:0", byOpenCl, StringComparison.Ordinal);
        Assert.Equal((Cpu, "There is no GPU."), DeviceSurvey.Choose([Pocl, Cpu], null));
    }

    [Fact]
    public void obeys_who_asks_and_says_what_is_not_there()
    {
        Assert.Equal(Radeon, DeviceSurvey.Choose([Radeon, Cpu], "opencl:0").Chosen);
        Assert.Equal(Cpu, DeviceSurvey.Choose([Card, Cpu], "cpu").Chosen);
        var (chosen, reason) = DeviceSurvey.Choose([Pocl, Cpu], "cuda:3");
        Assert.Equal(Cpu, chosen);
        Assert.Contains("asks for cuda:3, which is not there; there are opencl:0, cpu:0", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void goes_on_without_any_driver()
    {
        var survey = DeviceSurvey.Take("libno-such-cuda.so.1", "libno-such-opencl.so.1", null);
        Assert.Equal(DeviceKind.Cpu, Assert.Single(survey.Devices).Kind);
        Assert.Equal(["CUDA: no driver on this machine.", "OpenCL: no driver on this machine."], survey.Notes);
        Assert.Contains("is used: There is no GPU. CUDA: no driver", survey.Sentence(), StringComparison.Ordinal);
        using var opened = DeviceSurvey.Open(survey.Chosen);
        Assert.Equal(survey.Chosen.Kind, opened.Info.Kind);
    }

    [Fact]
    public void finds_what_this_machine_has()
    {
        var openCl = Each.Of(DeviceKind.OpenCl).Info;
        var survey = DeviceSurvey.Take("libno-such-cuda.so.1", OpenClLibrary.DefaultName, "opencl");
        Assert.Equal(openCl, survey.Chosen);
        using var opened = DeviceSurvey.Open(survey.Chosen);
        Assert.Equal(openCl, opened.Info);
    }

    [Fact]
    public void of_the_load_is_empty_without_nvidias_library()
    {
        Assert.SkipWhen(System.Runtime.InteropServices.NativeLibrary.TryLoad(GpuLoad.Library, out _), "NVIDIA's management library is here.");
        Assert.Empty(GpuLoad.Read());
    }

    [Fact]
    public void of_the_load_tells_of_each_card()
    {
        Assert.SkipUnless(System.Runtime.InteropServices.NativeLibrary.TryLoad(GpuLoad.Library, out _), $"{GpuLoad.Library} is not on this machine.");
        IReadOnlyList<GpuLoad> cards;
        try { cards = GpuLoad.Read(); }
        catch (DeviceException e) when (e.Failure == DeviceFailure.Missing)
        {
            Assert.Skip(e.Message);
            return;
        }

        Assert.All(cards, card => Assert.InRange(card.MemoryUsedBytes, 0, card.MemoryTotalBytes));
        Assert.All(cards, card => Assert.StartsWith("GPU-", card.Uuid, StringComparison.Ordinal));
    }
}
