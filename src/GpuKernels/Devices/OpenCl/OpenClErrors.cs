namespace Platform.GpuKernels.Devices.OpenCl;

/// <summary>The names of OpenCL's errors (CL/cl.h) and, in our words, what they mean (the specification's "Errors" of each call).</summary>
internal static class OpenClErrors
{
    public static DeviceException Exception(int code, string call, string? detail = null)
    {
        var (failure, name, meaning) = code switch
        {
            -1 => (DeviceFailure.Missing, "CL_DEVICE_NOT_FOUND", "The platform has no device of this kind."),
            -2 => (DeviceFailure.Missing, "CL_DEVICE_NOT_AVAILABLE", "The device is there but cannot be used now."),
            -3 => (DeviceFailure.Build, "CL_COMPILER_NOT_AVAILABLE", "The driver has no compiler for OpenCL C."),
            -4 => (DeviceFailure.OutOfMemory, "CL_MEM_OBJECT_ALLOCATION_FAILURE", "The device has not the memory for a buffer."),
            -5 => (DeviceFailure.OutOfMemory, "CL_OUT_OF_RESOURCES", "The device has not the memory or registers for this call, or a kernel on it failed."),
            -6 => (DeviceFailure.OutOfMemory, "CL_OUT_OF_HOST_MEMORY", "The driver has not the host memory for this call."),
            -7 => (DeviceFailure.Invalid, "CL_PROFILING_INFO_NOT_AVAILABLE", "The event has no times."),
            -11 => (DeviceFailure.Build, "CL_BUILD_PROGRAM_FAILURE", "The driver's compiler refused the source."),
            -14 => (DeviceFailure.Lost, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST", "A command that was waited for failed on the device."),
            -30 => (DeviceFailure.Invalid, "CL_INVALID_VALUE", "An argument of the call is out of its range."),
            -33 => (DeviceFailure.Missing, "CL_INVALID_DEVICE", "The device is not, or no longer, valid."),
            -34 => (DeviceFailure.Lost, "CL_INVALID_CONTEXT", "The context is not, or no longer, valid."),
            -36 => (DeviceFailure.Lost, "CL_INVALID_COMMAND_QUEUE", "The queue is not, or no longer, valid: an earlier command failed."),
            -38 => (DeviceFailure.Invalid, "CL_INVALID_MEM_OBJECT", "A buffer of the call is not valid."),
            -43 => (DeviceFailure.Build, "CL_INVALID_BUILD_OPTIONS", "The driver's compiler does not know an option."),
            -44 => (DeviceFailure.Invalid, "CL_INVALID_PROGRAM", "The program is not valid."),
            -45 => (DeviceFailure.Build, "CL_INVALID_PROGRAM_EXECUTABLE", "The program was not built for this device."),
            -46 => (DeviceFailure.Invalid, "CL_INVALID_KERNEL_NAME", "The program has no kernel of this name."),
            -48 => (DeviceFailure.Invalid, "CL_INVALID_KERNEL", "The kernel is not valid."),
            -49 => (DeviceFailure.Invalid, "CL_INVALID_ARG_INDEX", "The kernel has fewer parameters than it was given."),
            -51 => (DeviceFailure.Invalid, "CL_INVALID_ARG_SIZE", "An argument has not the size of the kernel's parameter."),
            -52 => (DeviceFailure.Invalid, "CL_INVALID_KERNEL_ARGS", "The kernel has more parameters than it was given."),
            -54 => (DeviceFailure.Invalid, "CL_INVALID_WORK_GROUP_SIZE", "The group size is not the one that the kernel requires, or more than the device allows."),
            -55 => (DeviceFailure.Invalid, "CL_INVALID_WORK_ITEM_SIZE", "The group is larger along an axis than the device allows."),
            -58 => (DeviceFailure.Invalid, "CL_INVALID_EVENT", "An event is not valid."),
            -59 => (DeviceFailure.Invalid, "CL_INVALID_OPERATION", "The call is not allowed here."),
            -61 => (DeviceFailure.OutOfMemory, "CL_INVALID_BUFFER_SIZE", "The buffer is larger than the device allows for one."),
            -1001 => (DeviceFailure.Missing, "CL_PLATFORM_NOT_FOUND_KHR", "The loader found no driver: /etc/OpenCL/vendors (or OCL_ICD_VENDORS) names none that loads."),
            _ => (DeviceFailure.Invalid, "CL_ERROR", "See the error codes in the specification's CL/cl.h."),
        };
        return new DeviceException(failure, call, code, name, detail is null ? meaning : $"{meaning} {detail}");
    }
}
