//! The kernel's algorithms: linux/if_alg.h.

super::numbers! {
    "Option or ancillary data of SOL_ALG, linux/if_alg.h": i32 {
        ALG_SET_KEY = 1,
        ALG_SET_IV = 2,
        ALG_SET_OP = 3,
        ALG_SET_AEAD_ASSOCLEN = 4,
        ALG_SET_AEAD_AUTHSIZE = 5,
        ALG_SET_DRBG_ENTROPY = 6,
        ALG_SET_PUBKEY = 6,
        ALG_SET_KEY_BY_KEY_SERIAL = 7,
    }
    "Value of ALG_SET_OP, linux/if_alg.h": u32 {
        ALG_OP_DECRYPT = 0,
        ALG_OP_ENCRYPT = 1,
        ALG_OP_SIGN = 2,
        ALG_OP_VERIFY = 3,
    }
}
