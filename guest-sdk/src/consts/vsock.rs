//! vsock: linux/vm_sockets.h.

super::numbers! {
    "Option of AF_VSOCK, linux/vm_sockets.h": i32 {
        SO_VM_SOCKETS_BUFFER_SIZE = 0,
        SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1,
        SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2,
        SO_VM_SOCKETS_PEER_HOST_VM_ID = 3,
        SO_VM_SOCKETS_TRUSTED = 5,
        SO_VM_SOCKETS_CONNECT_TIMEOUT = 6,
        SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6,
        SO_VM_SOCKETS_NONBLOCK_TXRX = 7,
        SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8,
    }
    "Context id or port, linux/vm_sockets.h": u32 {
        VMADDR_CID_HYPERVISOR = 0,
        VMADDR_CID_LOCAL = 1,
        VMADDR_CID_HOST = 2,
        VMADDR_CID_ANY = u32::MAX,
        VMADDR_PORT_ANY = u32::MAX,
    }
    "Flag of a vsock address, linux/vm_sockets.h": u8 { VMADDR_FLAG_TO_HOST = 1, }
    "Answer of a version that is not known, linux/vm_sockets.h": u32 {
        VM_SOCKETS_INVALID_VERSION = u32::MAX,
    }
    "ioctl(2) of /dev/vsock, linux/vm_sockets.h": u32 {
        IOCTL_VM_SOCKETS_GET_LOCAL_CID = 1977,
    }
}
